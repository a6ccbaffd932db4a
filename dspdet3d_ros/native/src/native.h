/* What takes too long in Python, on the CPU: kernel maps, convolutions and their gradients, candidates and faces of boxes.
 *
 * All arrays are contiguous and belong to the caller. Features are float32, keys int64, rows int32. Functions keep no
 * state between calls and may be called from several threads at once. Results do not depend on the number of threads.
 */
#ifndef DSPDET3D_NATIVE_H
#define DSPDET3D_NATIVE_H

#include <stdint.h>

/* Digest of the source files. A library without it, or with another one, was compiled from other sources. */
#ifndef NATIVE_SOURCES
#define NATIVE_SOURCES ""
#endif

#define EXPORT __attribute__((visibility("default")))

enum native_status { NATIVE_OK = 0, NATIVE_NO_MEMORY = -1, NATIVE_BAD_ARGUMENT = -2 };

/* Instruction sets, each with kernels of its own. */
enum native_isa { ISA_SCALAR, ISA_AVX2, ISA_AVX512, ISA_NEON, ISA_COUNT };

/* One sparse convolution: out[q] = relu(bias + sum over k of weight[k]' in[table[k][q]] + residual[q]).
 * An input of 0 may add nothing also where its weight is infinite or no number. */
struct native_convolution {
  const float *in;       /* (n_in, c_in) */
  const float *packed;   /* weights as native_pack writes them */
  const float *bias;     /* (c_out) or NULL */
  const float *residual; /* (n_out, c_out) or NULL */
  float *out;            /* (n_out, c_out) */
  const int32_t *table;  /* (volume, n_out) input row of each offset; a number outside [0, n_in) means: none.
                          * NULL where the volume is 1 and each output row has the input row of its number. */
  int64_t n_in, n_out;
  int32_t volume, c_in, c_out, relu;
};

/* A stride-1 convolution of kernel 3 in blocks of 2 x 2 x 2 cells; both numbers of channels are multiples of
 * NATIVE_BLOCK_CHANNELS. The result is that of native_convolve but for rounding. */
struct native_block_convolution {
  const float *in;        /* (rows, c_in) */
  const float *packed;    /* weights as native_pack_blocks writes them */
  const float *bias;      /* (c_out) or NULL */
  const float *residual;  /* (rows, c_out) or NULL */
  float *out;             /* (rows, c_out) */
  const int32_t *windows; /* (n_blocks, 4, 4, 4) as native_block_map writes them; each row is in one block */
  int64_t rows, n_blocks;
  int32_t c_in, c_out, relu;
};

#define NATIVE_BLOCK_CHANNELS 16

/* The gradient of the weights: out[k] = sum over q of in[table[k][q]] gradient[q]'. */
struct native_weight_gradient {
  const float *in;       /* (n_in, c_in) */
  const float *gradient; /* (n_out, c_out) */
  float *out;            /* (volume, c_in, c_out) */
  const int32_t *table;  /* as in native_convolution */
  int64_t n_in, n_out;
  int32_t volume, c_in, c_out;
};

/* The same for a convolution in blocks. Differs by rounding. */
struct native_block_weight_gradient {
  const float *in;        /* (rows, c_in) */
  const float *gradient;  /* (rows, c_out) */
  float *out;             /* (27, c_in, c_out) */
  const int32_t *windows; /* as in native_block_convolution */
  int64_t rows, n_blocks;
  int32_t c_in, c_out;
};

/* Batch normalisation of more than no rows:
 * out = relu((in - mean) / sqrt(variance + epsilon) * weight + bias + residual), mean and variance those of the rows. */
struct native_norm {
  const float *in;       /* (rows, channels) */
  const float *weight;   /* (channels) */
  const float *bias;     /* (channels) */
  const float *residual; /* (rows, channels) or NULL */
  float *out;            /* (rows, channels) */
  float *mean;           /* (channels) is written */
  float *variance;       /* (channels) is written: the mean of the squared differences from the mean */
  int64_t rows;
  int32_t channels, relu;
  float epsilon;
};

/* The gradients of native_norm. */
struct native_norm_gradient {
  const float *in;       /* (rows, channels) */
  const float *out;      /* (rows, channels) what came of it, or NULL where no ReLU was applied */
  const float *gradient; /* (rows, channels) of the output */
  const float *weight;   /* (channels) */
  const float *mean;     /* (channels) */
  const float *variance; /* (channels) */
  float *in_gradient;    /* (rows, channels) */
  float *residual_gradient; /* (rows, channels) or NULL; without a ReLU it is the output's gradient and is not written */
  float *weight_gradient;   /* (channels) */
  float *bias_gradient;     /* (channels) */
  int64_t rows;
  int32_t channels;
  float epsilon;
};

/* Candidate boxes, best first. */
struct native_candidates {
  const float *boxes;  /* (count, 6) centre and size */
  const float *scores; /* (count, classes) */
  const float *best;   /* (count) the largest of the scores */
  int64_t count;
  int64_t leaders; /* the number of candidates that can be chosen, the first ones */
  int32_t classes;
};

/* Intersections over union, and scores. */
struct native_group_rules {
  float clashes;     /* a candidate that overlaps a chosen one by more is not chosen */
  float votes;       /* one that overlaps it by more votes for it */
  float agrees;      /* one that overlaps it by more counts for the agreement */
  float least_voter; /* one with a score up to this does neither, but for itself */
  double tiny;       /* the least sum to divide by */
  int32_t most_voters; /* the most voters for the faces of a box, the best ones; more than none */
};

/* The chosen candidates; room for as many as can be chosen. */
struct native_groups {
  int64_t *rows;     /* of the chosen ones, ascending */
  int64_t *voters;   /* the number of votes for each */
  double *rivalry;   /* the sum of the squared overlaps with better chosen ones */
  double *agreement; /* the mean overlap with candidates around it, weighted by their best scores */
  float *names;      /* (leaders, classes) the scores of the voters, weighted by their squared best scores, summed up */
  float *corners;    /* (leaders, 6) weighted medians of the faces of the best voters: lowest and highest corner */
};

/* How faces of boxes move to points. Lengths in metres. */
struct native_face_rules {
  double most_out, most_in;                   /* how far a face moves at the most */
  double last_bit, goes_on;                   /* a face stays where the last bit before the outermost place that it can
                                               * reach has more than this part of the points of a bit inside the box */
  double above_part, least_above, most_above; /* points so far above the lower face show the sides: a part of the
                                               * height, at least and at most */
  double rises, falls;                        /* how far the top moves at the most, as a part of the height */
  double aside;                               /* points so far outside of the sides count for the top */
  double outside;                             /* the part of the points that lie outside of each face */
  double least_extent;                        /* an axis keeps its faces where less than this part would be left */
  double tiny;                                /* the least extent to divide by */
  double least_edge;                          /* of the cells of the grid that finds points */
  int64_t most_cells;                         /* of that grid */
  int64_t least_points;                       /* with fewer a face stays */
};

/* Predictions of cells, and the largest logit of each one: -INFINITY where a number of it is not finite, or the log of
 * an edge beyond the limit. */
struct native_predictions {
  const float *logits;     /* (rows, classes) */
  const float *regression; /* (rows, 6) place, and log of the size */
  float *largest;          /* (rows) is written */
  int64_t rows;
  int32_t classes;
  float most_log_size;
};

/* The digest above. It is also found in the file without loading it. */
EXPORT const char *native_sources(void);

/* Whether this processor can run the kernels of an instruction set that this library has. */
EXPORT int native_isa_usable(int isa);

/* Number of floats that packed weights take; -2 where there are no such weights. */
EXPORT int64_t native_packed_size(int isa, int volume, int c_in, int c_out);

/* Orders weights for the kernels.
 * weight: (volume, c_in, c_out), or (volume, c_out, c_in) where `transposed`; packed: 64-byte aligned. */
EXPORT int native_pack(int isa, const float *weight, int volume, int c_in, int c_out, int transposed, float *packed);

EXPORT int native_convolve(int isa, const struct native_convolution *convolution, int threads);

/* Number of floats that weights for native_convolve_blocks take; -2 where there are no such weights. */
EXPORT int64_t native_packed_blocks_size(int isa, int c_in, int c_out);

/* Transforms and orders the weights of 27 offsets for native_convolve_blocks.
 * weight: (27, c_in, c_out), or (27, c_out, c_in) where `transposed`: then the convolution is the transposed one. */
EXPORT int native_pack_blocks(int isa, const float *weight, int c_in, int c_out, int transposed, float *packed);

EXPORT int native_convolve_blocks(int isa, const struct native_block_convolution *convolution, int threads);

EXPORT int native_block_weight_gradient(int isa, const struct native_block_weight_gradient *gradient, int threads);

EXPORT int native_weight_gradient(int isa, const struct native_weight_gradient *gradient, int threads);

EXPORT int native_norm(int isa, const struct native_norm *norm, int threads);

EXPORT int native_norm_gradient(int isa, const struct native_norm_gradient *gradient, int threads);

EXPORT int native_largest_logits(int isa, const struct native_predictions *predictions, int threads);

/* The kernel map of 27 offsets: the row of in_keys that holds out_keys[q] + offset k; n_in where there is none.
 * Keys ascend and are unique. steps: what one step along x, y and z adds to a key; all three may be negative.
 * table: (27, n_out), x fastest, then y, then z. */
EXPORT int native_kernel_map(const int64_t *in_keys, int64_t n_in, const int64_t *out_keys, int64_t n_out,
                             const int64_t steps[3], int32_t *table, int threads);

/* The windows of 4 x 4 x 4 cells of blocks of 2 x 2 x 2: the row of keys that holds blocks[b] + (x - 1, y - 1, z - 1)
 * steps, x, y and z in 0..3; n where there is none. Both lists of keys ascend and are unique.
 * steps: what one step along x, y and z adds to a key, all positive. windows: (n_blocks, 4, 4, 4), z fastest. */
EXPORT int native_block_map(const int64_t *keys, int64_t n, const int64_t *blocks, int64_t n_blocks,
                            const int64_t steps[3], int32_t *windows, int threads);

/* The table of the transposed convolution: (volume, n_in) of output rows; n_out where there is none. */
EXPORT int native_transpose_map(const int32_t *table, int volume, int64_t n_in, int64_t n_out, int32_t *transposed,
                                int threads);

/* The number of entries of each offset that are rows: counts (volume). */
EXPORT int native_count_pairs(const int32_t *table, int volume, int64_t n_in, int64_t n_out, int64_t *counts);

/* rows[q]: where wanted[q] stands in keys, -1 where it is absent. Both ascend. */
EXPORT int native_find_sorted(const int64_t *keys, int64_t n_keys, const int64_t *wanted, int64_t n_wanted,
                              int64_t *rows);

/* The sorted union of keys - step, keys and keys + step; out holds up to 3 n keys.
 * Returns how many there are, or a negative status. */
EXPORT int64_t native_expand_axis(const int64_t *keys, int64_t n, int64_t step, int64_t *out);

/* The sorted unique keys & ~low_bits; x_bit and y_bit are the highest bits of x and y that are cleared.
 * out holds up to n keys. Returns how many there are, or a negative status. */
EXPORT int64_t native_coarsen(const int64_t *keys, int64_t n, int64_t low_bits, int64_t x_bit, int64_t y_bit,
                              int64_t *out);

/* The sorted unique keys of n keys in any order, none negative, and the first row of each; both hold up to n numbers.
 * Returns how many there are, or a negative status. */
EXPORT int64_t native_sort_unique(const int64_t *keys, int64_t n, int64_t *out_keys, int64_t *out_rows);

/* Greedy choice among the candidates, and the votes for each chosen one. Returns how many are chosen, or a negative
 * status. */
EXPORT int64_t native_group_candidates(const struct native_candidates *candidates,
                                       const struct native_group_rules *rules, const struct native_groups *groups);

/* Boxes with faces at the points: (n_boxes, 6), the lowest corner and the highest one, as `boxes`, which are finite.
 * points: (n_points, 3). */
EXPORT int native_fit_faces(const double *points, int64_t n_points, const float *boxes, int64_t n_boxes,
                            const struct native_face_rules *rules, float *fitted, int threads);

#endif
