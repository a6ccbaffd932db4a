/* Checks arguments and calls the kernels of the instruction set that is asked for. */
#include <stddef.h>

#include "kernels.h"

#define MOST_CHANNELS 65536

static const struct kernels *kernels_of(int isa) {
  switch (isa) {
    case ISA_SCALAR:
      return &kernels_scalar;
#if defined(__x86_64__)
    case ISA_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels_avx2 : NULL;
    case ISA_AVX512:
      return __builtin_cpu_supports("avx512f") ? &kernels_avx512 : NULL;
#endif
#if defined(__aarch64__)
    case ISA_NEON:
      return &kernels_neon;
#endif
    default:
      return NULL;
  }
}

static int channels_fit(int volume, int c_in, int c_out) {
  return volume >= 1 && volume <= 27 && c_in >= 1 && c_in <= MOST_CHANNELS && c_out >= 1 && c_out <= MOST_CHANNELS;
}

static int rows_fit(int64_t n_in, int64_t n_out) { return n_in >= 0 && n_in < INT32_MAX && n_out >= 0 && n_out < INT32_MAX; }

/* Without a table each output row has the input row of its number. */
static int table_fits(const int32_t *table, int volume, int64_t n_in, int64_t n_out) {
  return table != NULL || n_out == 0 || (volume == 1 && n_in == n_out);
}

const char *native_sources(void) { return NATIVE_SOURCES; }

int native_isa_usable(int isa) { return kernels_of(isa) != NULL; }

int64_t native_packed_size(int isa, int volume, int c_in, int c_out) {
  const struct kernels *kernels = kernels_of(isa);
  if (kernels == NULL || !channels_fit(volume, c_in, c_out)) return NATIVE_BAD_ARGUMENT;
  int64_t columns = (int64_t)(c_out + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
  return volume * (int64_t)c_in * columns;
}

int native_pack(int isa, const float *weight, int volume, int c_in, int c_out, int transposed, float *packed) {
  if (native_packed_size(isa, volume, c_in, c_out) < 0) return NATIVE_BAD_ARGUMENT;
  kernels_of(isa)->pack(weight, volume, c_in, c_out, transposed, packed);
  return NATIVE_OK;
}

int native_convolve(int isa, const struct native_convolution *c, int threads) {
  const struct kernels *kernels = kernels_of(isa);
  if (kernels == NULL || threads < 1) return NATIVE_BAD_ARGUMENT;
  if (!channels_fit(c->volume, c->c_in, c->c_out) || !rows_fit(c->n_in, c->n_out)) return NATIVE_BAD_ARGUMENT;
  if (!table_fits(c->table, c->volume, c->n_in, c->n_out)) return NATIVE_BAD_ARGUMENT;
  return kernels->convolve(c, threads);
}

int64_t native_packed_blocks_size(int isa, int c_in, int c_out) {
  if (kernels_of(isa) == NULL || !channels_fit(27, c_in, c_out)) return NATIVE_BAD_ARGUMENT;
  if (c_in % NATIVE_BLOCK_CHANNELS || c_out % NATIVE_BLOCK_CHANNELS) return NATIVE_BAD_ARGUMENT;
  return 64 * (int64_t)c_in * c_out;
}

int native_pack_blocks(int isa, const float *weight, int c_in, int c_out, int transposed, float *packed) {
  if (native_packed_blocks_size(isa, c_in, c_out) < 0) return NATIVE_BAD_ARGUMENT;
  kernels_of(isa)->pack_blocks(weight, c_in, c_out, transposed, packed);
  return NATIVE_OK;
}

int native_convolve_blocks(int isa, const struct native_block_convolution *c, int threads) {
  if (threads < 1 || native_packed_blocks_size(isa, c->c_in, c->c_out) < 0) return NATIVE_BAD_ARGUMENT;
  if (!rows_fit(c->rows, c->n_blocks)) return NATIVE_BAD_ARGUMENT;
  return kernels_of(isa)->convolve_blocks(c, threads);
}

int native_block_weight_gradient(int isa, const struct native_block_weight_gradient *g, int threads) {
  if (threads < 1 || native_packed_blocks_size(isa, g->c_in, g->c_out) < 0) return NATIVE_BAD_ARGUMENT;
  if (!rows_fit(g->rows, g->n_blocks)) return NATIVE_BAD_ARGUMENT;
  return kernels_of(isa)->block_weight_gradient(g, threads);
}

int native_weight_gradient(int isa, const struct native_weight_gradient *g, int threads) {
  const struct kernels *kernels = kernels_of(isa);
  if (kernels == NULL || threads < 1) return NATIVE_BAD_ARGUMENT;
  if (!channels_fit(g->volume, g->c_in, g->c_out) || !rows_fit(g->n_in, g->n_out)) return NATIVE_BAD_ARGUMENT;
  if (!table_fits(g->table, g->volume, g->n_in, g->n_out)) return NATIVE_BAD_ARGUMENT;
  return kernels->weight_gradient(g, threads);
}

static int norm_fits(int64_t rows, int channels) {
  return rows >= 1 && rows < INT32_MAX && channels >= 1 && channels <= MOST_CHANNELS;
}

int native_norm(int isa, const struct native_norm *n, int threads) {
  const struct kernels *kernels = kernels_of(isa);
  if (kernels == NULL || threads < 1 || !norm_fits(n->rows, n->channels)) return NATIVE_BAD_ARGUMENT;
  return kernels->norm(n, threads);
}

int native_norm_gradient(int isa, const struct native_norm_gradient *n, int threads) {
  const struct kernels *kernels = kernels_of(isa);
  if (kernels == NULL || threads < 1 || !norm_fits(n->rows, n->channels)) return NATIVE_BAD_ARGUMENT;
  return kernels->norm_gradient(n, threads);
}

int native_largest_logits(int isa, const struct native_predictions *p, int threads) {
  const struct kernels *kernels = kernels_of(isa);
  if (kernels == NULL || threads < 1) return NATIVE_BAD_ARGUMENT;
  if (p->rows < 0 || p->rows >= INT32_MAX || p->classes < 1 || p->classes > MOST_CHANNELS) return NATIVE_BAD_ARGUMENT;
  return kernels->largest_logits(p, threads);
}
