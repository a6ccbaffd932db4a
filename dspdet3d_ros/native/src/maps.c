/* Kernel maps from sorted keys: where two lists ascend, one walk along both answers all questions of one offset. */
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "threads.h"

#define COLUMNS 9
#define CHUNK_ROWS 8192

struct search {
  const int64_t *keys; /* the inputs' keys and three more, larger than all */
  const int64_t *wanted;
  int64_t n_in, n_out, chunks;
  const int64_t *steps;
  int32_t *table;
};

/* The first of n ascending keys that is not below `key`. */
static int64_t lower_bound(const int64_t *keys, int64_t n, int64_t key) {
  int64_t low = 0;
  while (n > 0) {
    int64_t half = n / 2;
    if (keys[low + half] < key) {
      low += half + 1;
      n -= half + 1;
    } else {
      n = half;
    }
  }
  return low;
}

/* Three offsets along z of some output rows. z is the lowest digit of a key: from the place of the lowest of three
 * neighbours along z the other two can only be the next rows. */
static void search_column(const void *context, int64_t item, void *scratch) {
  (void)scratch;
  const struct search *s = context;
  int64_t first = item % s->chunks * CHUNK_ROWS;
  int64_t last = first + CHUNK_ROWS < s->n_out ? first + CHUNK_ROWS : s->n_out;
  int column = (int)(item / s->chunks);
  int64_t size = s->steps[2] < 0 ? -s->steps[2] : s->steps[2];
  int64_t offset = (column % 3 - 1) * s->steps[0] + (column / 3 - 1) * s->steps[1] - size;
  /* A negative step runs through the neighbours along z in the opposite order. */
  int32_t *low = s->table + (column + (s->steps[2] < 0 ? 18 : 0)) * s->n_out;
  int32_t *middle = s->table + (column + 9) * s->n_out;
  int32_t *high = s->table + (column + (s->steps[2] < 0 ? 0 : 18)) * s->n_out;
  const int64_t *keys = s->keys;
  int32_t none = (int32_t)s->n_in;
  int64_t row = lower_bound(keys, s->n_in, s->wanted[first] + offset);
  for (int64_t q = first; q < last; q++) {
    int64_t key = s->wanted[q] + offset;
    while (keys[row] < key) row++;
    int64_t next = row;
    int found = keys[next] == key;
    low[q] = found ? (int32_t)next : none;
    next += found;
    found = keys[next] == key + size;
    middle[q] = found ? (int32_t)next : none;
    next += found;
    found = keys[next] == key + 2 * size;
    high[q] = found ? (int32_t)next : none;
  }
}

int native_kernel_map(const int64_t *in_keys, int64_t n_in, const int64_t *out_keys, int64_t n_out,
                      const int64_t steps[3], int32_t *table, int threads) {
  if (n_in < 0 || n_in >= INT32_MAX || n_out < 0 || n_out >= INT32_MAX || steps[2] == 0) return NATIVE_BAD_ARGUMENT;
  if (n_out == 0) return NATIVE_OK;
  int64_t *keys = malloc(((size_t)n_in + 3) * sizeof(int64_t));
  if (keys == NULL) return NATIVE_NO_MEMORY;
  if (n_in > 0) memcpy(keys, in_keys, (size_t)n_in * sizeof(int64_t));
  for (int i = 0; i < 3; i++) keys[n_in + i] = INT64_MAX;
  struct search search = {keys, out_keys, n_in, n_out, (n_out + CHUNK_ROWS - 1) / CHUNK_ROWS, steps, table};
  int status = for_items(search_column, &search, COLUMNS * search.chunks, n_out < 512 ? 1 : threads, 0);
  free(keys);
  return status;
}

struct block_search {
  const int64_t *keys; /* the cells' keys and four more, larger than all */
  const int64_t *blocks;
  int64_t n, n_blocks, chunks;
  const int64_t *steps;
  int32_t *windows;
};

/* The four cells along z at one x and y of the windows of some blocks; as search_column. */
static void search_windows(const void *context, int64_t item, void *scratch) {
  (void)scratch;
  const struct block_search *s = context;
  int64_t first = item % s->chunks * CHUNK_ROWS;
  int64_t last = first + CHUNK_ROWS < s->n_blocks ? first + CHUNK_ROWS : s->n_blocks;
  int column = (int)(item / s->chunks);
  int64_t size = s->steps[2], offset = (column / 4 - 1) * s->steps[0] + (column % 4 - 1) * s->steps[1] - size;
  const int64_t *keys = s->keys;
  int64_t row = lower_bound(keys, s->n, s->blocks[first] + offset);
  for (int64_t b = first; b < last; b++) {
    int64_t key = s->blocks[b] + offset;
    while (keys[row] < key) row++;
    int32_t *window = s->windows + b * 64 + column * 4;
    int64_t next = row;
    for (int z = 0; z < 4; z++) {
      int found = keys[next] == key + z * size;
      window[z] = (int32_t)(found ? next : s->n);
      next += found;
    }
  }
}

int native_block_map(const int64_t *keys, int64_t n, const int64_t *blocks, int64_t n_blocks, const int64_t steps[3],
                     int32_t *windows, int threads) {
  if (n < 0 || n >= INT32_MAX || n_blocks < 0 || n_blocks >= INT32_MAX / 64 || steps[2] <= 0) return NATIVE_BAD_ARGUMENT;
  if (n_blocks == 0) return NATIVE_OK;
  int64_t *ended = malloc(((size_t)n + 4) * sizeof(int64_t));
  if (ended == NULL) return NATIVE_NO_MEMORY;
  if (n > 0) memcpy(ended, keys, (size_t)n * sizeof(int64_t));
  for (int i = 0; i < 4; i++) ended[n + i] = INT64_MAX;
  struct block_search search = {ended, blocks, n, n_blocks, (n_blocks + CHUNK_ROWS - 1) / CHUNK_ROWS, steps, windows};
  int status = for_items(search_windows, &search, 16 * search.chunks, n_blocks < 512 ? 1 : threads, 0);
  free(ended);
  return status;
}

struct transposition {
  const int32_t *table;
  int64_t n_in, n_out;
  int32_t *transposed;
};

static void transpose_offset(const void *context, int64_t k, void *scratch) {
  (void)scratch;
  const struct transposition *t = context;
  const int32_t *from = t->table + k * t->n_out;
  int32_t *to = t->transposed + k * t->n_in;
  for (int64_t p = 0; p < t->n_in; p++) to[p] = (int32_t)t->n_out;
  for (int64_t q = 0; q < t->n_out; q++)
    if ((uint64_t)(int64_t)from[q] < (uint64_t)t->n_in) to[from[q]] = (int32_t)q;
}

int native_transpose_map(const int32_t *table, int volume, int64_t n_in, int64_t n_out, int32_t *transposed,
                         int threads) {
  if (volume < 1 || n_in < 0 || n_in >= INT32_MAX || n_out < 0 || n_out >= INT32_MAX) return NATIVE_BAD_ARGUMENT;
  struct transposition transposition = {table, n_in, n_out, transposed};
  return for_items(transpose_offset, &transposition, volume, n_in + n_out < 1024 ? 1 : threads, 0);
}

int native_count_pairs(const int32_t *table, int volume, int64_t n_in, int64_t n_out, int64_t *counts) {
  for (int k = 0; k < volume; k++) {
    int64_t count = 0;
    for (int64_t q = 0; q < n_out; q++) count += (uint64_t)(int64_t)table[k * n_out + q] < (uint64_t)n_in;
    counts[k] = count;
  }
  return NATIVE_OK;
}

int native_find_sorted(const int64_t *keys, int64_t n_keys, const int64_t *wanted, int64_t n_wanted, int64_t *rows) {
  int64_t row = 0;
  for (int64_t q = 0; q < n_wanted; q++) {
    while (row < n_keys && keys[row] < wanted[q]) row++;
    rows[q] = row < n_keys && keys[row] == wanted[q] ? row : -1;
  }
  return NATIVE_OK;
}
