/* Checks the C library against sums written out by their definition, for every instruction set that the
 * processor has. test_native_library.py compiles it with the library's sources: plainly, with sanitizers, for ARM.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);      \
      exit(1);                                                                            \
    }                                                                                     \
  } while (0)

#define AXIS 1024 /* what a step along y adds to a key here; a step along x adds its square */

static uint64_t state = 1;

static uint32_t random_number(uint32_t below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33) % below;
}

static float random_float(void) { return (float)random_number(2001) / 1000.0f - 1.0f; }

/* Blocks of exactly the size that is asked for, so that a sanitizer sees every step beyond them. */
static void *block(size_t bytes) {
  void *found = malloc(bytes ? bytes : 1);
  CHECK(found != NULL);
  return found;
}

static float *random_floats(int64_t count) {
  float *found = block((size_t)count * sizeof(float));
  for (int64_t i = 0; i < count; i++) found[i] = random_float();
  return found;
}

static int ascending(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

static int64_t sort_and_thin(int64_t *keys, int64_t n) {
  qsort(keys, (size_t)n, sizeof(int64_t), ascending);
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++)
    if (count == 0 || keys[count - 1] != keys[i]) keys[count++] = keys[i];
  return count;
}

static int64_t key_of(int64_t x, int64_t y, int64_t z) { return (x * AXIS + y) * AXIS + z; }

/* Up to n sorted unique keys of cells in a cube of the given edge, all multiples of the stride. */
static int64_t random_cells(int64_t *keys, int64_t n, uint32_t edge, int64_t stride) {
  for (int64_t i = 0; i < n; i++) {
    int64_t x = random_number(edge) + 2, y = random_number(edge) + 2, z = random_number(edge) + 2;
    keys[i] = key_of(x * stride, y * stride, z * stride);
  }
  return sort_and_thin(keys, n);
}

static int64_t row_of(const int64_t *keys, int64_t n, int64_t key) {
  const int64_t *found = n > 0 ? bsearch(&key, keys, (size_t)n, sizeof(int64_t), ascending) : NULL;
  return found == NULL ? -1 : found - keys;
}

static void check_map(const int64_t *in, int64_t n_in, const int64_t *out, int64_t n_out, int64_t step) {
  const int64_t steps[3] = {step * AXIS * AXIS, step * AXIS, step};
  size_t bytes = 27 * (size_t)n_out * sizeof(int32_t);
  int32_t *table = block(bytes), *again = block(bytes);
  CHECK(native_kernel_map(in, n_in, out, n_out, steps, table, 1) == NATIVE_OK);
  CHECK(native_kernel_map(in, n_in, out, n_out, steps, again, 3) == NATIVE_OK);
  CHECK(memcmp(table, again, bytes) == 0);
  int64_t total = 0, counts[27];
  for (int k = 0; k < 27; k++) {
    int64_t offset = key_of(k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1) * step;
    for (int64_t q = 0; q < n_out; q++) {
      int64_t row = row_of(in, n_in, out[q] + offset);
      CHECK(table[k * n_out + q] == (row < 0 ? n_in : row));
      total += row >= 0;
    }
  }
  CHECK(native_count_pairs(table, 27, n_in, n_out, counts) == NATIVE_OK);
  for (int k = 0; k < 27; k++) total -= counts[k];
  CHECK(total == 0);
  int32_t *transposed = block(27 * (size_t)n_in * sizeof(int32_t));
  CHECK(native_transpose_map(table, 27, n_in, n_out, transposed, 2) == NATIVE_OK);
  for (int k = 0; k < 27; k++) {
    int64_t pairs = 0;
    for (int64_t p = 0; p < n_in; p++) {
      int64_t q = transposed[k * n_in + p];
      if (q < n_out) CHECK(table[k * n_out + q] == p);
      pairs += q < n_out;
    }
    CHECK(pairs == counts[k]);
  }
  free(table);
  free(again);
  free(transposed);
}

static void check_sets(int64_t most, uint32_t edge) {
  int64_t *keys = block((size_t)most * sizeof(int64_t));
  int64_t n = random_cells(keys, most, edge, 4);
  int64_t *rows = block((size_t)n * sizeof(int64_t)), *found = block(3 * (size_t)n * sizeof(int64_t));
  int64_t *wanted = block(3 * (size_t)n * sizeof(int64_t));

  int64_t coarse = native_coarsen(keys, n, key_of(7, 7, 7), key_of(4, 0, 0), key_of(0, 4, 0), found);
  for (int64_t i = 0; i < n; i++) wanted[i] = keys[i] & ~key_of(7, 7, 7);
  CHECK(coarse == sort_and_thin(wanted, n));
  CHECK(memcmp(found, wanted, (size_t)coarse * sizeof(int64_t)) == 0);
  check_map(keys, n, found, coarse, 4);
  check_map(keys, n, keys, n, 4);

  const int64_t axes[3] = {2, 2 * AXIS, 2 * AXIS * AXIS};
  for (int axis = 0; axis < 3; axis++) {
    int64_t fine = native_expand_axis(keys, n, axes[axis], found);
    for (int64_t i = 0; i < 3 * n; i++) wanted[i] = keys[i / 3] + (i % 3 - 1) * axes[axis];
    CHECK(fine == sort_and_thin(wanted, 3 * n));
    CHECK(memcmp(found, wanted, (size_t)fine * sizeof(int64_t)) == 0);
    check_map(keys, n, found, fine, -2);
    CHECK(native_find_sorted(found, fine, keys, n, rows) == NATIVE_OK);
    for (int64_t i = 0; i < n; i++) CHECK(rows[i] == row_of(found, fine, keys[i]));
    CHECK(native_find_sorted(keys, n, found, n, rows) == NATIVE_OK);
    for (int64_t i = 0; i < n; i++) CHECK(rows[i] == row_of(keys, n, found[i]));
  }

  int64_t *shuffled = block((size_t)most * sizeof(int64_t)), *first = block((size_t)most * sizeof(int64_t));
  int64_t *unique = block((size_t)most * sizeof(int64_t));
  for (int64_t i = 0; i < most; i++) shuffled[i] = n > 0 ? keys[random_number((uint32_t)n)] + ((int64_t)1 << 55) : 0;
  int64_t count = native_sort_unique(shuffled, most, unique, first);
  for (int64_t i = 0; i < count; i++) {
    CHECK(i == 0 || unique[i - 1] < unique[i]);
    CHECK(shuffled[first[i]] == unique[i]);
    for (int64_t j = 0; j < first[i]; j++) CHECK(shuffled[j] != unique[i]);
  }
  CHECK(count == sort_and_thin(shuffled, most));
  free(keys);
  free(rows);
  free(found);
  free(wanted);
  free(shuffled);
  free(first);
  free(unique);
}

/* A third of the entries are no row: above, at or below the range. */
static int32_t *random_table(int volume, int64_t n_in, int64_t n_out) {
  const int32_t none[4] = {(int32_t)n_in, -1, INT32_MIN, INT32_MAX};
  int32_t *table = block((size_t)volume * (size_t)n_out * sizeof(int32_t));
  for (int64_t i = 0; i < volume * n_out; i++)
    table[i] = n_in == 0 || random_number(3) == 0 ? none[random_number(4)] : (int32_t)random_number((uint32_t)n_in);
  return table;
}

static void check_near_by(const float *found, const double *wanted, int64_t count, double share) {
  double error = 0.0, norm = 0.0;
  for (int64_t i = 0; i < count; i++) {
    error += (found[i] - wanted[i]) * (found[i] - wanted[i]);
    norm += wanted[i] * wanted[i];
  }
  CHECK(sqrt(error) <= share * sqrt(norm));
}

static void check_near(const float *found, const double *wanted, int64_t count) {
  check_near_by(found, wanted, count, 1e-5);
}

static float *pack(int isa, const float *weight, int volume, int c_in, int c_out, int transposed) {
  int64_t size = native_packed_size(isa, volume, c_in, c_out);
  CHECK(size >= (int64_t)volume * c_in * c_out);
  float *packed = block((size_t)size * sizeof(float));
  CHECK(native_pack(isa, weight, volume, c_in, c_out, transposed, packed) == NATIVE_OK);
  return packed;
}

/* The inputs have zeros: so many of a hundred. */
static void check_convolution(int isa, int volume, int64_t n_in, int64_t n_out, int c_in, int c_out, int epilogue,
                              uint32_t zeros) {
  float *in = random_floats(n_in * c_in), *weight = random_floats((int64_t)volume * c_in * c_out);
  float *bias = random_floats(c_out), *residual = random_floats(n_out * c_out);
  for (int64_t i = 0; i < n_in * c_in; i++)
    if (random_number(100) < zeros) in[i] = 0.0f;
  float *turned = block((size_t)volume * (size_t)c_in * (size_t)c_out * sizeof(float));
  for (int k = 0; k < volume; k++)
    for (int i = 0; i < c_in; i++)
      for (int j = 0; j < c_out; j++)
        turned[((int64_t)k * c_out + j) * c_in + i] = weight[((int64_t)k * c_in + i) * c_out + j];
  int32_t *table = random_table(volume, n_in, n_out);
  double *wanted = block((size_t)n_out * (size_t)c_out * sizeof(double));
  for (int64_t q = 0; q < n_out; q++)
    for (int j = 0; j < c_out; j++) {
      double sum = epilogue ? (double)bias[j] + residual[q * c_out + j] : 0.0;
      for (int k = 0; k < volume; k++) {
        int64_t row = table[k * n_out + q];
        for (int i = 0; row >= 0 && row < n_in && i < c_in; i++)
          sum += (double)in[row * c_in + i] * weight[((int64_t)k * c_in + i) * c_out + j];
      }
      wanted[q * c_out + j] = epilogue && sum < 0.0 ? 0.0 : sum;
    }
  float *packed = pack(isa, weight, volume, c_in, c_out, 0), *same = pack(isa, turned, volume, c_in, c_out, 1);
  CHECK(memcmp(packed, same, (size_t)native_packed_size(isa, volume, c_in, c_out) * sizeof(float)) == 0);
  size_t bytes = (size_t)n_out * (size_t)c_out * sizeof(float);
  float *out = block(bytes), *again = block(bytes);
  struct native_convolution c = {
      in, packed, epilogue ? bias : NULL, epilogue ? residual : NULL, out, table, n_in, n_out, volume, c_in, c_out, epilogue};
  CHECK(native_convolve(isa, &c, 1) == NATIVE_OK);
  check_near(out, wanted, n_out * c_out);
  c.out = again;
  CHECK(native_convolve(isa, &c, 4) == NATIVE_OK);
  CHECK(memcmp(out, again, bytes) == 0);

  double *slopes = block((size_t)volume * (size_t)c_in * (size_t)c_out * sizeof(double));
  memset(slopes, 0, (size_t)volume * (size_t)c_in * (size_t)c_out * sizeof(double));
  for (int k = 0; k < volume; k++)
    for (int64_t q = 0; q < n_out; q++) {
      int64_t row = table[k * n_out + q];
      for (int i = 0; row >= 0 && row < n_in && i < c_in; i++)
        for (int j = 0; j < c_out; j++)
          slopes[((int64_t)k * c_in + i) * c_out + j] += (double)in[row * c_in + i] * residual[q * c_out + j];
    }
  struct native_weight_gradient g = {in, residual, turned, table, n_in, n_out, volume, c_in, c_out};
  CHECK(native_weight_gradient(isa, &g, 1) == NATIVE_OK);
  check_near(turned, slopes, (int64_t)volume * c_in * c_out);
  g.out = weight;
  CHECK(native_weight_gradient(isa, &g, 4) == NATIVE_OK);
  CHECK(memcmp(weight, turned, (size_t)volume * (size_t)c_in * (size_t)c_out * sizeof(float)) == 0);
  free(in);
  free(weight);
  free(bias);
  free(residual);
  free(turned);
  free(table);
  free(wanted);
  free(packed);
  free(same);
  free(out);
  free(again);
  free(slopes);
}

/* Without a table each output row belongs to the input row of its number. */
static void check_product(int isa, int64_t rows, int c_in, int c_out) {
  float *in = random_floats(rows * c_in), *weight = random_floats((int64_t)c_in * c_out);
  float *packed = pack(isa, weight, 1, c_in, c_out, 0), *out[2];
  int32_t *table = block((size_t)rows * sizeof(int32_t));
  for (int64_t q = 0; q < rows; q++) table[q] = (int32_t)q;
  for (int i = 0; i < 2; i++) {
    out[i] = random_floats(rows * c_out);
    struct native_convolution c = {in, packed, NULL, NULL, out[i], i ? NULL : table, rows, rows, 1, c_in, c_out, 0};
    CHECK(native_convolve(isa, &c, 1 + 2 * i) == NATIVE_OK);
  }
  CHECK(memcmp(out[0], out[1], (size_t)(rows * c_out) * sizeof(float)) == 0);
  float *slopes[2];
  for (int i = 0; i < 2; i++) {
    slopes[i] = random_floats((int64_t)c_in * c_out);
    struct native_weight_gradient g = {in, out[0], slopes[i], i ? NULL : table, rows, rows, 1, c_in, c_out};
    CHECK(native_weight_gradient(isa, &g, 1 + 2 * i) == NATIVE_OK);
  }
  CHECK(memcmp(slopes[0], slopes[1], (size_t)c_in * (size_t)c_out * sizeof(float)) == 0);
  free(slopes[0]);
  free(slopes[1]);
  free(in);
  free(weight);
  free(packed);
  free(table);
  free(out[0]);
  free(out[1]);
}

/* The convolution in blocks on up to `most` random cells of a cube, against its definition. */
static void check_blocks(int isa, int64_t most, uint32_t edge, int c_in, int c_out, int epilogue) {
  int64_t *keys = block((size_t)most * sizeof(int64_t));
  int64_t rows = random_cells(keys, most, edge, 2), *blocks = block((size_t)rows * sizeof(int64_t));
  int64_t n_blocks = native_coarsen(keys, rows, key_of(3, 3, 3), key_of(2, 0, 0), key_of(0, 2, 0), blocks);
  const int64_t steps[3] = {2 * AXIS * AXIS, 2 * AXIS, 2};
  size_t bytes = 64 * (size_t)n_blocks * sizeof(int32_t);
  int32_t *windows = block(bytes), *same = block(bytes);
  CHECK(native_block_map(keys, rows, blocks, n_blocks, steps, windows, 1) == NATIVE_OK);
  CHECK(native_block_map(keys, rows, blocks, n_blocks, steps, same, 3) == NATIVE_OK);
  CHECK(memcmp(windows, same, bytes) == 0);
  for (int64_t b = 0; b < n_blocks; b++)
    for (int i = 0; i < 64; i++) {
      int64_t row = row_of(keys, rows, blocks[b] + 2 * key_of(i / 16 - 1, i / 4 % 4 - 1, i % 4 - 1));
      CHECK(windows[b * 64 + i] == (row < 0 ? rows : row));
    }

  int64_t weights = (int64_t)27 * c_in * c_out;
  float *in = random_floats(rows * c_in), *weight = random_floats(weights), *turned = random_floats(weights);
  float *bias = random_floats(c_out), *residual = random_floats(rows * c_out);
  for (int k = 0; k < 27; k++)
    for (int i = 0; i < c_in; i++)
      for (int j = 0; j < c_out; j++)
        turned[((int64_t)(26 - k) * c_out + j) * c_in + i] = weight[((int64_t)k * c_in + i) * c_out + j];
  double *wanted = block((size_t)(rows * c_out) * sizeof(double));
  for (int64_t q = 0; q < rows; q++) {
    int64_t neighbours[27];
    for (int k = 0; k < 27; k++) neighbours[k] = row_of(keys, rows, keys[q] + 2 * key_of(k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1));
    for (int j = 0; j < c_out; j++) {
      double sum = epilogue ? (double)bias[j] + residual[q * c_out + j] : 0.0;
      for (int k = 0; k < 27; k++)
        for (int i = 0; neighbours[k] >= 0 && i < c_in; i++)
          sum += (double)in[neighbours[k] * c_in + i] * weight[((int64_t)k * c_in + i) * c_out + j];
      wanted[q * c_out + j] = epilogue && sum < 0.0 ? 0.0 : sum;
    }
  }
  int64_t size = native_packed_blocks_size(isa, c_in, c_out);
  CHECK(size == 64 * (int64_t)c_in * c_out);
  float *packed = block((size_t)size * sizeof(float)), *again = block((size_t)size * sizeof(float));
  CHECK(native_pack_blocks(isa, weight, c_in, c_out, 0, packed) == NATIVE_OK);
  CHECK(native_pack_blocks(isa, turned, c_in, c_out, 1, again) == NATIVE_OK);
  CHECK(memcmp(packed, again, (size_t)size * sizeof(float)) == 0);
  float *out[2];
  for (int i = 0; i < 2; i++) {
    out[i] = random_floats(rows * c_out);
    struct native_block_convolution c = {in, packed, epilogue ? bias : NULL, epilogue ? residual : NULL, out[i], windows,
                                         rows, n_blocks, c_in, c_out, epilogue};
    CHECK(native_convolve_blocks(isa, &c, i ? 4 : 1) == NATIVE_OK);
  }
  check_near(out[0], wanted, rows * c_out);
  CHECK(memcmp(out[0], out[1], (size_t)(rows * c_out) * sizeof(float)) == 0);

  double *slopes = block((size_t)weights * sizeof(double));
  memset(slopes, 0, (size_t)weights * sizeof(double));
  for (int k = 0; k < 27; k++)
    for (int64_t q = 0; q < rows; q++) {
      int64_t row = row_of(keys, rows, keys[q] + 2 * key_of(k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1));
      for (int i = 0; row >= 0 && i < c_in; i++)
        for (int j = 0; j < c_out; j++)
          slopes[((int64_t)k * c_in + i) * c_out + j] += (double)in[row * c_in + i] * residual[q * c_out + j];
    }
  struct native_block_weight_gradient g = {in, residual, turned, windows, rows, n_blocks, c_in, c_out};
  CHECK(native_block_weight_gradient(isa, &g, 1) == NATIVE_OK);
  check_near(turned, slopes, weights);
  g.out = weight;
  CHECK(native_block_weight_gradient(isa, &g, 4) == NATIVE_OK);
  CHECK(memcmp(weight, turned, (size_t)weights * sizeof(float)) == 0);
  free(slopes);
  free(keys);
  free(blocks);
  free(windows);
  free(same);
  free(in);
  free(weight);
  free(turned);
  free(bias);
  free(residual);
  free(wanted);
  free(packed);
  free(again);
  free(out[0]);
  free(out[1]);
}

static void check_norm(int isa, int64_t rows, int channels, int relu, int added) {
  int64_t count = rows * channels;
  size_t bytes = (size_t)count * sizeof(float);
  float *in = random_floats(count), *weight = random_floats(channels), *bias = random_floats(channels);
  float *residual = random_floats(count), *gradient = random_floats(count), *out = block(bytes), *again = block(bytes);
  float *made[2], *clipped = block(bytes), *statistics = random_floats(4 * channels);
  made[0] = random_floats(4 * channels);
  made[1] = random_floats(4 * channels);
  /* Far from 0, where a sum of squares would lose the variance. */
  for (int64_t i = 0; i < count; i++) in[i] += 30.0f;
  const float epsilon = 1e-5f;
  struct native_norm n = {in, weight, bias, added ? residual : NULL, out, made[0], made[0] + channels, rows, channels, relu, epsilon};
  CHECK(native_norm(isa, &n, 1) == NATIVE_OK);
  n.out = again;
  n.mean = made[1];
  n.variance = made[1] + channels;
  CHECK(native_norm(isa, &n, 4) == NATIVE_OK);
  CHECK(memcmp(out, again, bytes) == 0);
  CHECK(memcmp(made[0], made[1], 2 * (size_t)channels * sizeof(float)) == 0);
  struct native_norm_gradient g = {in, relu ? out : NULL, gradient, weight, made[0], made[0] + channels, again,
                                   relu && added ? clipped : NULL, made[0] + 2 * channels, made[0] + 3 * channels,
                                   rows, channels, epsilon};
  CHECK(native_norm_gradient(isa, &g, 1) == NATIVE_OK);
  double *wanted = block(3 * (size_t)count * sizeof(double));
  for (int c = 0; c < channels; c++) {
    double mean = 0.0, variance = 0.0, plain = 0.0, times = 0.0;
    for (int64_t i = 0; i < rows; i++) mean += in[i * channels + c] / (double)rows;
    for (int64_t i = 0; i < rows; i++)
      variance += (in[i * channels + c] - mean) * (in[i * channels + c] - mean) / (double)rows;
    CHECK(fabs(made[0][c] - mean) < 1e-4);
    CHECK(fabs(made[0][channels + c] - variance) < 1e-4 * (variance + 1e-3));
    double deviation = 1.0 / sqrt(variance + (double)epsilon);
    for (int64_t i = 0; i < rows; i++) {
      int64_t at = i * channels + c;
      double even = (in[at] - mean) * deviation;
      double value = even * weight[c] + bias[c] + (added ? (double)residual[at] : 0.0);
      wanted[at] = relu && value < 0.0 ? 0.0 : value;
      double slope = relu && out[at] <= 0.0f ? 0.0 : gradient[at];
      if (relu && added) CHECK(clipped[at] == (float)slope);
      wanted[count + at] = slope;
      plain += slope;
      times += slope * even;
    }
    for (int64_t i = 0; i < rows; i++) {
      int64_t at = i * channels + c;
      double even = (in[at] - mean) * deviation;
      wanted[2 * count + at] =
          weight[c] * deviation * (wanted[count + at] - plain / (double)rows - even * times / (double)rows);
    }
    CHECK(fabs(made[0][2 * channels + c] - times) < 1e-4 * (double)(rows + 1));
    CHECK(fabs(made[0][3 * channels + c] - plain) < 1e-4 * (double)(rows + 1));
  }
  for (int64_t i = 0; i < count; i++) CHECK(fabs(out[i] - wanted[i]) < 1e-3);
  if (rows > 8) check_near_by(again, wanted + 2 * count, count, 1e-3);
  float *in_gradient = block(bytes);
  g.in_gradient = in_gradient;
  g.weight_gradient = statistics;
  g.bias_gradient = statistics + channels;
  CHECK(native_norm_gradient(isa, &g, 3) == NATIVE_OK);
  CHECK(memcmp(in_gradient, again, bytes) == 0);
  CHECK(memcmp(statistics, made[0] + 2 * channels, 2 * (size_t)channels * sizeof(float)) == 0);
  free(in);
  free(weight);
  free(bias);
  free(residual);
  free(gradient);
  free(out);
  free(again);
  free(made[0]);
  free(made[1]);
  free(clipped);
  free(statistics);
  free(wanted);
  free(in_gradient);
}

static void check_refusals(int isa) {
  const int64_t steps[3] = {1, 1, 1};
  struct native_convolution c = {NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 27, 3, 3, 0};
  CHECK(native_convolve(isa, &c, 1) == NATIVE_OK);
  CHECK(native_convolve(isa, &c, 0) == NATIVE_BAD_ARGUMENT);
  CHECK(native_convolve(ISA_COUNT, &c, 1) == NATIVE_BAD_ARGUMENT);
  c.n_in = c.n_out = 5;
  CHECK(native_convolve(isa, &c, 1) == NATIVE_BAD_ARGUMENT);
  c.volume = 1;
  c.n_in = 4;
  CHECK(native_convolve(isa, &c, 1) == NATIVE_BAD_ARGUMENT);
  c.volume = 27;
  c.n_out = 0;
  c.n_in = INT32_MAX;
  CHECK(native_convolve(isa, &c, 1) == NATIVE_BAD_ARGUMENT);
  c.n_in = 0;
  c.c_out = 0;
  CHECK(native_convolve(isa, &c, 1) == NATIVE_BAD_ARGUMENT);
  struct native_weight_gradient w = {NULL, NULL, NULL, NULL, 5, 5, 27, 3, 3};
  CHECK(native_weight_gradient(isa, &w, 1) == NATIVE_BAD_ARGUMENT);
  w.volume = 1;
  w.n_in = 4;
  CHECK(native_weight_gradient(isa, &w, 1) == NATIVE_BAD_ARGUMENT);
  struct native_block_convolution b = {NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 16, 16, 0};
  CHECK(native_convolve_blocks(isa, &b, 1) == NATIVE_OK);
  CHECK(native_convolve_blocks(isa, &b, 0) == NATIVE_BAD_ARGUMENT);
  CHECK(native_convolve_blocks(ISA_COUNT, &b, 1) == NATIVE_BAD_ARGUMENT);
  b.rows = INT32_MAX;
  CHECK(native_convolve_blocks(isa, &b, 1) == NATIVE_BAD_ARGUMENT);
  b.rows = 0;
  b.c_in = 24;
  CHECK(native_convolve_blocks(isa, &b, 1) == NATIVE_BAD_ARGUMENT);
  struct native_block_weight_gradient s = {NULL, NULL, NULL, NULL, 0, 0, 16, 24};
  CHECK(native_block_weight_gradient(isa, &s, 1) == NATIVE_BAD_ARGUMENT);
  s.c_out = 16;
  CHECK(native_block_weight_gradient(isa, &s, 0) == NATIVE_BAD_ARGUMENT);
  CHECK(native_block_weight_gradient(ISA_COUNT, &s, 1) == NATIVE_BAD_ARGUMENT);
  s.n_blocks = INT32_MAX;
  CHECK(native_block_weight_gradient(isa, &s, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_packed_blocks_size(isa, 16, 0) == NATIVE_BAD_ARGUMENT);
  CHECK(native_pack_blocks(isa, NULL, 16, 8, 0, NULL) == NATIVE_BAD_ARGUMENT);
  CHECK(native_block_map(NULL, INT32_MAX, NULL, 0, steps, NULL, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_block_map(NULL, 0, NULL, 0, steps, NULL, 1) == NATIVE_OK);
  struct native_norm n = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 3, 0, 0.0f};
  CHECK(native_norm(isa, &n, 1) == NATIVE_BAD_ARGUMENT);
  struct native_norm_gradient g = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 5, 0, 0.0f};
  CHECK(native_norm_gradient(isa, &g, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_packed_size(isa, 28, 1, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_packed_size(isa, 1, 0, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_kernel_map(NULL, INT32_MAX, NULL, 0, steps, NULL, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_kernel_map(NULL, 0, NULL, INT32_MAX, steps, NULL, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_transpose_map(NULL, 27, -1, 0, NULL, 1) == NATIVE_BAD_ARGUMENT);
  CHECK(native_expand_axis(NULL, -1, 1, NULL) == NATIVE_BAD_ARGUMENT);
  CHECK(native_coarsen(NULL, -1, 1, 1, 1, NULL) == NATIVE_BAD_ARGUMENT);
  CHECK(native_sort_unique(NULL, -1, NULL, NULL) == NATIVE_BAD_ARGUMENT);
}

/* Each group by its definition: every candidate is compared with every other one. */
static void check_groups(int64_t n, float extent) {
  const int32_t classes = 3;
  float *boxes = block((size_t)n * 6 * sizeof(float)), *best = block((size_t)n * sizeof(float));
  float *scores = block((size_t)(n * classes) * sizeof(float));
  for (int64_t i = 0; i < n; i++) {
    for (int axis = 0; axis < 3; axis++) {
      boxes[6 * i + axis] = extent * random_float();
      boxes[6 * i + 3 + axis] = 0.6f + 0.5f * random_float();
    }
    best[i] = 1.0f - (float)i / (float)(n + 1);
    for (int c = 0; c < classes; c++) scores[i * classes + c] = best[i] / (float)(c + 1);
  }
  int64_t leaders = n / 2;
  struct native_candidates all = {boxes, scores, best, n, leaders, classes};
  struct native_group_rules rules = {0.25f, 0.4f, 0.1f, 0.05f, 1e-30, 64};
  struct native_groups out = {block((size_t)leaders * 8),           block((size_t)leaders * 8),
                              block((size_t)leaders * 8),           block((size_t)leaders * 8),
                              block((size_t)(leaders * classes) * 4), block((size_t)leaders * 24)};
  int64_t groups = native_group_candidates(&all, &rules, &out), next = 0;
  for (int64_t i = 0; i < leaders; i++) {
    double rivalry = 0, agreeing = 0, weights = 0;
    int64_t voters = 0, suppressed = 0;
    for (int64_t j = 0; j < n; j++) {
      double shared = 1, a = 1, b = 1;
      for (int axis = 0; axis < 3; axis++) {
        const float *one = boxes + 6 * i + axis, *two = boxes + 6 * j + axis;
        double high = fmin(one[0] + one[3] / 2.0, two[0] + two[3] / 2.0);
        shared *= fmax(0, high - fmax(one[0] - one[3] / 2.0, two[0] - two[3] / 2.0));
        a *= one[3];
        b *= two[3];
      }
      double iou = shared / (a + b - shared);
      int64_t before = 0;
      while (before < next && out.rows[before] != j) before++;
      if (before < next && j < i) {
        suppressed += iou > rules.clashes;
        rivalry += iou * iou;
      }
      if (!(best[j] > rules.least_voter) && j != i) continue;
      voters += iou > rules.votes;
      if (iou > rules.agrees) {
        agreeing += best[j] * iou;
        weights += best[j];
      }
    }
    if (suppressed) continue;
    CHECK(next < groups && out.rows[next] == i && out.voters[next] == voters);
    CHECK(fabs(out.rivalry[next] - rivalry) < 1e-4 && fabs(out.agreement[next] - agreeing / weights) < 1e-4);
    /* The scores of every candidate have the same ratios. */
    CHECK(fabsf(out.names[next * classes] - 2 * out.names[next * classes + 1]) < 1e-3f);
    for (int axis = 0; axis < 3; axis++) CHECK(out.corners[6 * next + axis] < out.corners[6 * next + 3 + axis]);
    next++;
  }
  CHECK(next == groups);
  CHECK(native_group_candidates(&(struct native_candidates){boxes, scores, best, n, n + 1, classes}, &rules, &out) ==
        NATIVE_BAD_ARGUMENT);
  free(boxes), free(best), free(scores), free(out.rows), free(out.voters), free(out.rivalry), free(out.agreement);
  free(out.names), free(out.corners);
}

/* A box that is too wide gets the faces of the cube of points inside, and no other box or point changes that. */
static void check_faces(int64_t others) {
  const struct native_face_rules rules = {.most_out = 0.01,    .most_in = 0.02,     .last_bit = 0.003, .goes_on = 0.25,
                                          .above_part = 0.3,   .least_above = 0.006, .most_above = 0.015, .rises = 0.25,
                                          .falls = 0.5,        .aside = 0.002,      .outside = 0.005,  .least_extent = 0.3,
                                          .tiny = 1e-9,        .least_edge = 0.04,  .most_cells = 1 << 20,
                                          .least_points = 15};
  int64_t n = 4000;
  double *points = block((size_t)(n + others) * 3 * sizeof(double));
  for (int64_t i = 0; i < n; i++) {
    for (int axis = 0; axis < 3; axis++) points[3 * i + axis] = 0.05 * random_float();
    points[3 * i + random_number(3)] = random_number(2) ? 0.05 : -0.05;
  }
  for (int64_t i = 3 * n; i < 3 * (n + others); i++) points[i] = i % 3 == 0 ? 40 * random_float() + 50 : random_float();
  float *boxes = block((size_t)(1 + others) * 6 * sizeof(float)), *fitted = block((size_t)(1 + others) * 6 * sizeof(float));
  for (int axis = 0; axis < 3; axis++) {
    boxes[axis] = -0.056f;
    boxes[3 + axis] = 0.056f;
  }
  for (int64_t k = 1; k <= others; k++)
    for (int axis = 0; axis < 3; axis++) {
      boxes[6 * k + axis] = (float)points[3 * (n + k - 1) + axis] - 0.1f;
      boxes[6 * k + 3 + axis] = boxes[6 * k + axis] + 0.2f;
    }
  CHECK(native_fit_faces(points, n + others, boxes, 1 + others, &rules, fitted, 3) == NATIVE_OK);
  for (int axis = 0; axis < 3; axis++) {
    CHECK(fabsf(fitted[axis] - (axis < 2 ? -0.05f : -0.056f)) < 1e-3f);
    CHECK(fabsf(fitted[3 + axis] - 0.05f) < 1e-3f);
  }
  /* Too few points for the other ones. */
  if (others > 0) CHECK(memcmp(fitted + 6, boxes + 6, (size_t)others * 6 * sizeof(float)) == 0);
  CHECK(native_fit_faces(points, 0, boxes, 1, &rules, fitted, 3) == NATIVE_OK && memcmp(fitted, boxes, 24) == 0);
  boxes[0] = 1;
  CHECK(native_fit_faces(points, n, boxes, 1, &rules, fitted, 3) == NATIVE_BAD_ARGUMENT);
  boxes[0] = -INFINITY;
  CHECK(native_fit_faces(points, n, boxes, 1, &rules, fitted, 3) == NATIVE_BAD_ARGUMENT);
  free(points), free(boxes), free(fitted);
}

static void check_largest(int isa, int64_t rows, int classes) {
  float *logits = random_floats(rows * classes), *regression = random_floats(rows * 6);
  float *largest = block((size_t)rows * sizeof(float));
  const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
  for (int64_t i = 0; i < rows; i += 7) {
    float *row = i % 2 ? regression + i * 6 + i % 6 : logits + i * classes + i % classes;
    *row = bad[i % 4];
  }
  if (rows > 5) regression[5 * 6 + 3] = -29.5f;
  struct native_predictions p = {logits, regression, largest, rows, classes, 29.0f};
  CHECK(native_largest_logits(isa, &p, 3) == NATIVE_OK);
  for (int64_t i = 0; i < rows; i++) {
    float most = -INFINITY;
    int usable = i != 5;
    for (int c = 0; c < classes; c++) {
      usable &= isfinite(logits[i * classes + c]) != 0;
      if (logits[i * classes + c] > most) most = logits[i * classes + c];
    }
    for (int k = 0; k < 6; k++) usable &= isfinite(regression[i * 6 + k]) != 0;
    CHECK(largest[i] == (usable ? most : -INFINITY));
  }
  p.classes = 0;
  CHECK(native_largest_logits(isa, &p, 1) == NATIVE_BAD_ARGUMENT);
  free(logits), free(regression), free(largest);
}

int main(void) {
  static const char *const names[ISA_COUNT] = {"scalar", "avx2", "avx512", "neon"};
  static const int channels[][2] = {{1, 1}, {3, 64}, {5, 7}, {16, 16}, {17, 33}, {64, 64}, {70, 130}};
  for (int64_t most = 0; most < 5; most++) check_sets(most, 2);
  check_sets(600, 7);
  check_sets(3000, 60);
  for (int64_t n = 0; n < 4; n++) check_groups(n, 1);
  check_groups(300, 0.5f);
  check_groups(500, 6);
  check_faces(0);
  check_faces(60);
  for (int isa = 0; isa < ISA_COUNT; isa++) {
    if (!native_isa_usable(isa)) continue;
    check_refusals(isa);
    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
      int c_in = channels[i][0], c_out = channels[i][1];
      for (uint32_t zeros = 0; zeros < 100; zeros += 60) {
        for (int64_t rows = 0; rows < 9; rows += rows < 2 ? 1 : 3)
          check_convolution(isa, 27, rows, 2 * rows + 1, c_in, c_out, rows % 2 == 0, zeros);
        check_convolution(isa, 27, 40, 71, c_in, c_out, 1, zeros);
      }
      check_convolution(isa, 27, 3, 0, c_in, c_out, 1, 0);
      check_convolution(isa, 27, 3, 5, c_in, c_out, 0, 100);
      check_convolution(isa, 1, 50, 233, c_in, c_out, 0, 60);
    }
    check_convolution(isa, 2, 400, 40000, 5, 3, 1, 0);
    check_convolution(isa, 3, 2100, 900, 65, 64, 0, 60);
    check_product(isa, 0, 3, 2);
    check_product(isa, 777, 20, 6);
    for (int64_t most = 0; most < 3; most++) check_blocks(isa, most, 2, 16, 16, 1);
    check_blocks(isa, 100, 3, 16, 48, 0);
    check_blocks(isa, 900, 7, 64, 32, 1);
    check_blocks(isa, 300, 5, 272, 80, 1);
    /* Cells far from each other, in more than one slab. */
    check_blocks(isa, 2600, 90, 16, 16, 0);
    for (int kind = 0; kind < 4; kind++) {
      check_norm(isa, 2, 3, kind & 1, kind & 2);
      check_norm(isa, 129, 64, kind & 1, kind & 2);
      check_norm(isa, 5000, 17, kind & 1, kind & 2);
    }
    for (int64_t rows = 0; rows < 3; rows++) check_largest(isa, rows, 1);
    check_largest(isa, 900, 35);
    check_largest(isa, 9000, 3);
    printf("%s ok\n", names[isa]);
  }
  return 0;
}
