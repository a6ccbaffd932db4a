/* Sets of keys: sorting, coarser and finer ones. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)
#define MOST_DIGITS 6

static int64_t smallest(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t native_expand_axis(const int64_t *keys, int64_t n, int64_t step, int64_t *out) {
  if (n < 0 || step <= 0) return NATIVE_BAD_ARGUMENT;
  /* Where each of the three ascending lists stands; the first is never behind the second, nor that behind the third. */
  int64_t below = 0, same = 0, above = 0, count = 0;
  while (above < n) {
    int64_t key = keys[above] + step;
    if (same < n) key = smallest(key, keys[same]);
    if (below < n) key = smallest(key, keys[below] - step);
    out[count++] = key;
    if (below < n) below += keys[below] - step == key;
    if (same < n) same += keys[same] == key;
    above += keys[above] + step == key;
  }
  return count;
}

/* The sorted union of two ascending lists. */
static int64_t merge(const int64_t *a, int64_t n_a, const int64_t *b, int64_t n_b, int64_t *out) {
  int64_t i = 0, j = 0, count = 0;
  while (i < n_a && j < n_b) {
    int64_t left = a[i], right = b[j];
    out[count++] = smallest(left, right);
    i += left <= right;
    j += right <= left;
  }
  while (i < n_a) out[count++] = a[i++];
  while (j < n_b) out[count++] = b[j++];
  return count;
}

int64_t native_coarsen(const int64_t *keys, int64_t n, int64_t low_bits, int64_t x_bit, int64_t y_bit, int64_t *out) {
  if (n < 0) return NATIVE_BAD_ARGUMENT;
  if (n == 0) return 0;
  int64_t *lists = malloc((size_t)n * 6 * sizeof(int64_t));
  if (lists == NULL) return NATIVE_NO_MEMORY;
  /* Of keys that agree in the two bits, clearing the low ones keeps the order: four lists that ascend. */
  int64_t lengths[4] = {0, 0, 0, 0};
  for (int64_t i = 0; i < n; i++) {
    int which = ((keys[i] & x_bit) != 0) * 2 + ((keys[i] & y_bit) != 0);
    int64_t key = keys[i] & ~low_bits, *list = lists + which * n;
    if (lengths[which] == 0 || list[lengths[which] - 1] != key) list[lengths[which]++] = key;
  }
  int64_t *merged = lists + 4 * n;
  int64_t even = merge(lists, lengths[0], lists + n, lengths[1], merged);
  int64_t odd = merge(lists + 2 * n, lengths[2], lists + 3 * n, lengths[3], merged + even);
  int64_t count = merge(merged, even, merged + even, odd, out);
  free(lists);
  return count;
}

struct entry {
  int64_t key, row;
};

/* Sorts by the digits in which keys differ, lowest first; equal keys keep their order. Returns where they are then. */
static struct entry *sort_entries(struct entry *entries, struct entry *other, int64_t n, int64_t differing,
                                  int64_t *counts) {
  for (int digit = 0; digit < MOST_DIGITS; digit++) {
    int shift = digit * DIGIT_BITS;
    if ((differing >> shift & (DIGITS - 1)) == 0) continue;
    memset(counts, 0, DIGITS * sizeof(int64_t));
    for (int64_t i = 0; i < n; i++) counts[entries[i].key >> shift & (DIGITS - 1)]++;
    int64_t sum = 0;
    for (int d = 0; d < DIGITS; d++) {
      int64_t count = counts[d];
      counts[d] = sum;
      sum += count;
    }
    for (int64_t i = 0; i < n; i++) other[counts[entries[i].key >> shift & (DIGITS - 1)]++] = entries[i];
    struct entry *swap = entries;
    entries = other;
    other = swap;
  }
  return entries;
}

int64_t native_sort_unique(const int64_t *keys, int64_t n, int64_t *out_keys, int64_t *out_rows) {
  if (n < 0) return NATIVE_BAD_ARGUMENT;
  if (n == 0) return 0;
  struct entry *entries = malloc(2 * (size_t)n * sizeof(struct entry) + DIGITS * sizeof(int64_t));
  if (entries == NULL) return NATIVE_NO_MEMORY;
  int64_t differing = 0;
  for (int64_t i = 0; i < n; i++) {
    entries[i] = (struct entry){keys[i], i};
    differing |= keys[i] ^ keys[0];
  }
  const struct entry *sorted = sort_entries(entries, entries + n, n, differing, (int64_t *)(entries + 2 * n));
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    if (i > 0 && sorted[i].key == sorted[i - 1].key) continue;
    out_keys[count] = sorted[i].key;
    out_rows[count++] = sorted[i].row;
  }
  free(entries);
  return count;
}
