/* Candidate boxes that agree on an object: what detector/candidate_groups.py defines, by sweeps along x. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

struct candidate {
  float low[3], high[3], volume;
  int64_t row;
};

/* A candidate that overlaps a chosen one. */
struct overlap {
  int64_t row;
  float iou;
};

static int by_low_x(const void *a, const void *b) {
  const struct candidate *left = a, *right = b;
  int order = (left->low[0] > right->low[0]) - (left->low[0] < right->low[0]);
  return order != 0 ? order : (left->row > right->row) - (left->row < right->row);
}

static int by_row(const void *a, const void *b) {
  int64_t left = ((const struct overlap *)a)->row, right = ((const struct overlap *)b)->row;
  return (left > right) - (left < right);
}

static struct candidate candidate_of(const float *box, int64_t row) {
  struct candidate made = {.volume = box[3] * box[4] * box[5], .row = row};
  for (int axis = 0; axis < 3; axis++) {
    made.low[axis] = box[axis] - box[3 + axis] / 2;
    made.high[axis] = box[axis] + box[3 + axis] / 2;
  }
  return made;
}

static float iou_of(const struct candidate *a, const struct candidate *b) {
  float shared = 1;
  for (int axis = 0; axis < 3; axis++) {
    float high = a->high[axis] < b->high[axis] ? a->high[axis] : b->high[axis];
    float low = a->low[axis] > b->low[axis] ? a->low[axis] : b->low[axis];
    if (!(high > low)) return 0;
    shared *= high - low;
  }
  float together = a->volume + b->volume - shared;
  return shared / (together > 1e-12f ? together : 1e-12f);
}

/* The candidates that overlap one of them, in the order of their rows; `sorted` by their lowest x. Returns the number. */
static int64_t overlaps_of(const struct candidate *sorted, int64_t n, double widest, const struct candidate *one,
                           struct overlap *found) {
  int64_t from = 0, count = 0;
  for (int64_t left = n; left > 0;) {
    int64_t half = left / 2;
    if (sorted[from + half].low[0] < one->low[0] - widest) {
      from += half + 1;
      left -= half + 1;
    } else {
      left = half;
    }
  }
  for (int64_t i = from; i < n && sorted[i].low[0] < one->high[0]; i++) {
    float iou = iou_of(one, sorted + i);
    if (iou > 0) found[count++] = (struct overlap){sorted[i].row, iou};
  }
  qsort(found, (size_t)count, sizeof(struct overlap), by_row);
  return count;
}

/* The first value, in ascending order, at which half of the weight is reached; both lists are reordered. */
static float weighted_median(float *values, float *weights, int count) {
  for (int i = 1; i < count; i++) {
    float value = values[i], weight = weights[i];
    int at = i;
    for (; at > 0 && values[at - 1] > value; at--) {
      values[at] = values[at - 1];
      weights[at] = weights[at - 1];
    }
    values[at] = value;
    weights[at] = weight;
  }
  float all = 0, sum = 0;
  for (int i = 0; i < count; i++) all += weights[i];
  for (int i = 0; i < count - 1; i++) {
    sum += weights[i];
    if (!(sum < all / 2)) return values[i];
  }
  return values[count - 1];
}

/* What the overlapping candidates say about a chosen one. `chosen` is 1 for rows that were chosen before; `values` has
 * room for twice the most voters. */
static void count_votes(const struct native_candidates *all, const uint8_t *chosen, int64_t row, struct overlap *near,
                        int64_t count, const struct native_group_rules *rules, float *values, int64_t group,
                        const struct native_groups *out) {
  double agreeing = 0, weights = 0, rivalry = 0;
  int64_t voters = 0;
  float *names = out->names + group * all->classes;
  memset(names, 0, (size_t)all->classes * sizeof(float));
  for (int64_t i = 0; i < count; i++) {
    float iou = near[i].iou, best = all->best[near[i].row];
    if (near[i].row < row && chosen[near[i].row]) rivalry += iou * iou;
    if (!(best > rules->least_voter) && near[i].row != row) continue;
    if (iou > rules->agrees) {
      agreeing += best * iou;
      weights += best;
    }
    if (!(iou > rules->votes)) continue;
    near[voters++].row = near[i].row;
    const float *scores = all->scores + near[i].row * all->classes;
    for (int c = 0; c < all->classes; c++) names[c] += best * best * scores[c];
  }
  out->rows[group] = row;
  out->voters[group] = voters;
  out->rivalry[group] = rivalry;
  out->agreement[group] = agreeing / (weights > rules->tiny ? weights : rules->tiny);
  float *corners = out->corners + 6 * group;
  struct candidate own = candidate_of(all->boxes + 6 * row, row);
  memcpy(corners, own.low, sizeof(own.low));
  memcpy(corners + 3, own.high, sizeof(own.high));
  int asked = voters < rules->most_voters ? (int)voters : rules->most_voters;
  float *own_weights = values + rules->most_voters;
  for (int face = 0; face < 6 && asked > 0; face++) {
    for (int i = 0; i < asked; i++) {
      const float *box = all->boxes + 6 * near[i].row;
      float half = box[3 + face % 3] / 2, best = all->best[near[i].row];
      values[i] = face < 3 ? box[face] - half : box[face - 3] + half;
      own_weights[i] = best * best;
    }
    corners[face] = weighted_median(values, own_weights, asked);
  }
}

int64_t native_group_candidates(const struct native_candidates *all, const struct native_group_rules *rules,
                                const struct native_groups *out) {
  if (all->count < 0 || all->leaders < 0 || all->leaders > all->count) return NATIVE_BAD_ARGUMENT;
  if (all->classes < 1 || rules->most_voters < 1) return NATIVE_BAD_ARGUMENT;
  size_t n = (size_t)all->count + 1;
  struct candidate *sorted = malloc(n * sizeof(struct candidate));
  struct overlap *near = malloc(n * sizeof(struct overlap));
  uint8_t *chosen = calloc(n, 1), *gone = calloc(n, 1);
  float *values = malloc(2 * (size_t)rules->most_voters * sizeof(float));
  int there = sorted != NULL && near != NULL && chosen != NULL && gone != NULL && values != NULL;
  int64_t groups = there ? 0 : NATIVE_NO_MEMORY;
  double widest = 0;
  for (int64_t row = 0; row < all->count && groups == 0; row++) {
    sorted[row] = candidate_of(all->boxes + 6 * row, row);
    double width = (double)sorted[row].high[0] - sorted[row].low[0];
    if (width > widest) widest = width;
  }
  if (groups == 0) qsort(sorted, (size_t)all->count, sizeof(struct candidate), by_low_x);
  for (int64_t row = 0; groups >= 0 && row < all->leaders; row++) {
    if (gone[row]) continue;
    struct candidate one = candidate_of(all->boxes + 6 * row, row);
    int64_t count = overlaps_of(sorted, all->count, widest, &one, near);
    for (int64_t i = 0; i < count; i++) gone[near[i].row] |= near[i].iou > rules->clashes;
    count_votes(all, chosen, row, near, count, rules, values, groups++, out);
    chosen[row] = 1;
  }
  free(sorted);
  free(near);
  free(chosen);
  free(gone);
  free(values);
  return groups;
}
