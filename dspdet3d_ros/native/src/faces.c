/* Faces of boxes at the points nearby: what detector/fitted_faces.py defines, in one pass over the points. */
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "threads.h"

/* Number of points in a part, of which one thread takes those near boxes. */
#define PART 16384

struct point {
  float x[3];
};

/* A grid around all boxes. Its cells are sorted by x, then y, then z; those of one x and y form a column. */
struct grid {
  double first[3], last[3], scale;
  int64_t shape[3], columns;
  uint8_t *touched; /* the cells that boxes touch */
};

/* Points of the touched cells, column after column; those of column c are the ones from starts[c] to starts[c + 1]. */
struct near_points {
  struct point *points;
  int64_t count, *starts;
};

/* The number of the cell of a coordinate inside the grid: it never falls where the coordinate rises. */
static int64_t cell_of(const struct grid *grid, double place, int axis) {
  return (int64_t)((place - grid->first[axis]) * grid->scale);
}

static int64_t column_of(const struct grid *grid, const float place[3]) {
  return cell_of(grid, place[0], 0) * grid->shape[1] + cell_of(grid, place[1], 1);
}

/* Box k with all faces further out by the reach. */
static void reached(const float *box, float reach, float low[3], float high[3]) {
  for (int axis = 0; axis < 3; axis++) {
    low[axis] = box[axis] - reach;
    high[axis] = box[3 + axis] + reach;
  }
}

static int make_grid(struct grid *grid, const float *boxes, int64_t count, const struct native_face_rules *rules) {
  float low[3], high[3];
  for (int64_t k = 0; k < count; k++) {
    reached(boxes + 6 * k, (float)rules->most_out, low, high);
    for (int axis = 0; axis < 3; axis++) {
      if (k == 0 || low[axis] < grid->first[axis]) grid->first[axis] = low[axis];
      if (k == 0 || high[axis] > grid->last[axis]) grid->last[axis] = high[axis];
    }
  }
  double edge = rules->least_edge, cells;
  for (;; edge *= 2) {
    grid->scale = 1 / edge;
    cells = 1;
    for (int axis = 0; axis < 3; axis++) cells *= (grid->last[axis] - grid->first[axis]) * grid->scale + 1;
    if (cells <= (double)rules->most_cells) break;
  }
  for (int axis = 0; axis < 3; axis++) grid->shape[axis] = cell_of(grid, grid->last[axis], axis) + 1;
  grid->columns = grid->shape[0] * grid->shape[1];
  grid->touched = calloc((size_t)(grid->columns * grid->shape[2]), 1);
  if (grid->touched == NULL) return NATIVE_NO_MEMORY;
  for (int64_t k = 0; k < count; k++) {
    reached(boxes + 6 * k, (float)rules->most_out, low, high);
    int64_t bottom = cell_of(grid, low[2], 2), height = cell_of(grid, high[2], 2) - bottom + 1;
    int64_t end = cell_of(grid, high[0], 0), side = cell_of(grid, high[1], 1);
    for (int64_t x = cell_of(grid, low[0], 0); x <= end; x++)
      for (int64_t y = cell_of(grid, low[1], 1); y <= side; y++)
        memset(grid->touched + (x * grid->shape[1] + y) * grid->shape[2] + bottom, 1, (size_t)height);
  }
  return NATIVE_OK;
}

struct taking {
  const struct grid *grid;
  const double *points;
  int64_t count;
  struct point *found; /* those of a part begin at the number of its first point */
  int64_t *sizes;      /* their number, of each part */
};

/* The points of a part in touched cells, in their order. */
static void take_part(const void *context, int64_t part, void *scratch) {
  (void)scratch;
  const struct taking *taking = context;
  /* In variables of this function the compiler keeps them in registers. */
  const struct grid own = *taking->grid;
  const double *points = taking->points, *first = own.first, *last = own.last;
  struct point *found = taking->found + part * PART;
  int64_t size = 0, end = (part + 1) * PART < taking->count ? (part + 1) * PART : taking->count;
  for (int64_t i = part * PART; i < end; i++) {
    struct point point = {{(float)points[3 * i], (float)points[3 * i + 1], (float)points[3 * i + 2]}};
    const float *x = point.x;
    if (!(x[0] >= first[0] && x[0] <= last[0] && x[1] >= first[1] && x[1] <= last[1])) continue;
    if (!(x[2] >= first[2] && x[2] <= last[2])) continue;
    /* No branch here: which cells are touched cannot be predicted. */
    found[size] = point;
    size += own.touched[column_of(&own, x) * own.shape[2] + cell_of(&own, x[2], 2)];
  }
  taking->sizes[part] = size;
}

/* The points in touched cells, in their order. */
static int take_near(const struct grid *grid, const double *points, int64_t count, struct near_points *taken,
                     int threads) {
  int64_t parts = (count + PART - 1) / PART;
  /* Room for all: memory that is never written to costs nothing. */
  taken->points = malloc(((size_t)count + 1) * sizeof(struct point));
  int64_t *sizes = calloc((size_t)parts + 1, sizeof(int64_t));
  int status = taken->points != NULL && sizes != NULL ? NATIVE_OK : NATIVE_NO_MEMORY;
  if (status == NATIVE_OK) {
    struct taking taking = {grid, points, count, taken->points, sizes};
    status = for_items(take_part, &taking, parts, threads, 0);
  }
  for (int64_t part = 0; status == NATIVE_OK && part < parts; part++) {
    memmove(taken->points + taken->count, taken->points + part * PART, (size_t)sizes[part] * sizeof(struct point));
    taken->count += sizes[part];
  }
  free(sizes);
  return status;
}

static int sort_by_columns(const struct grid *grid, struct near_points *near) {
  struct point *sorted = malloc(((size_t)near->count + 1) * sizeof(struct point));
  near->starts = calloc((size_t)grid->columns + 1, sizeof(int64_t));
  if (sorted == NULL || near->starts == NULL) {
    free(sorted);
    return NATIVE_NO_MEMORY;
  }
  for (int64_t i = 0; i < near->count; i++) near->starts[column_of(grid, near->points[i].x) + 1]++;
  for (int64_t c = 0; c < grid->columns; c++) near->starts[c + 1] += near->starts[c];
  /* From the last point on, each takes the last free place of its column: afterwards the starts are where they were. */
  for (int64_t i = near->count - 1; i >= 0; i--) {
    int64_t column = column_of(grid, near->points[i].x);
    sorted[--near->starts[column + 1]] = near->points[i];
  }
  memmove(near->starts, near->starts + 1, (size_t)grid->columns * sizeof(int64_t));
  near->starts[grid->columns] = near->count;
  free(near->points);
  near->points = sorted;
  return NATIVE_OK;
}

/* Moves heap[at] down until no child is below it: the smallest value is heap[0]. */
static void sift(float *heap, int64_t size, int64_t at) {
  float value = heap[at];
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1] < heap[child]) child++;
    if (!(heap[child] < value)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = value;
}

/* The place of a face that looks along an axis; `values` are places of points on the axis, and are reordered. */
static float end_of(float *values, int64_t count, float face, float extent, double most_out, double most_in,
                    const struct native_face_rules *rules) {
  float limit = face + (float)most_out, inner = limit - (float)rules->last_bit;
  int64_t below = 0, outermost = 0;
  for (int64_t i = 0; i < count; i++) {
    float value = values[i];
    values[below] = value;
    below += value < limit;
    outermost += (value < limit) & (value >= inner);
  }
  if (below < rules->least_points) return face;
  if ((double)outermost > rules->goes_on * (double)below * rules->last_bit / (double)extent) return face;
  double place = (1 - rules->outside) * (double)(below - 1);
  int64_t row = (int64_t)place, size = below - row;
  /* The largest values in a heap: its first one is the one at `row` in ascending order. */
  for (int64_t i = size / 2 - 1; i >= 0; i--) sift(values, size, i);
  for (int64_t i = size; i < below; i++) {
    if (!(values[i] > values[0])) continue;
    values[0] = values[i];
    sift(values, size, 0);
  }
  float next = size == 1 ? values[0] : size == 2 || values[1] < values[2] ? values[1] : values[2];
  float end = values[0] + (float)(place - (double)row) * (next - values[0]);
  return end >= face - (float)most_in ? end : face;
}

static double smaller(double a, double b) { return a < b ? a : b; }

static double larger(double a, double b) { return a > b ? a : b; }

/* One box: `own` are the `count` points above its lower face, below where its top can be, and near its sides. */
static void fit_box(const float *box, const struct point *own, int64_t count, float *values, double rise, float *fitted,
                    const struct native_face_rules *rules) {
  const float *low = box, *high = box + 3;
  float height = high[2] - low[2];
  float above = low[2] + (float)smaller(larger(rules->above_part * height, rules->least_above), rules->most_above);
  memcpy(fitted, box, 6 * sizeof(float));
  for (int axis = 0; axis < 2; axis++) {
    int other = 1 - axis;
    float extent = (float)larger(high[axis] - low[axis], rules->tiny), ends[2];
    for (int upper = 0; upper < 2; upper++) {
      int64_t found = 0;
      for (int64_t i = 0; i < count; i++) {
        const float *x = own[i].x;
        values[found] = upper ? x[axis] : -x[axis];
        found += (x[2] > above) & (x[other] > low[other]) & (x[other] < high[other]);
      }
      float face = upper ? high[axis] : -low[axis];
      ends[upper] = end_of(values, found, face, extent, rules->most_out, rules->most_in, rules);
    }
    if (ends[1] + ends[0] >= (float)rules->least_extent * extent) {
      fitted[axis] = -ends[0];
      fitted[3 + axis] = ends[1];
    }
  }
  float margin = (float)rules->aside;
  int64_t found = 0;
  for (int64_t i = 0; i < count; i++) {
    const float *x = own[i].x;
    values[found] = x[2];
    found += (x[0] > fitted[0] - margin) & (x[0] < fitted[3] + margin) & (x[1] > fitted[1] - margin) &
             (x[1] < fitted[4] + margin);
  }
  double fall = smaller(rules->most_in, rules->falls * height);
  fitted[5] = end_of(values, found, high[2], (float)larger(height, rules->tiny), rise, fall, rules);
}

static int fit_all(const struct grid *grid, const struct near_points *near, const float *boxes, int64_t count,
                   const struct native_face_rules *rules, float *fitted) {
  struct point *own = malloc(((size_t)near->count + 1) * (sizeof(struct point) + sizeof(float)));
  if (own == NULL) return NATIVE_NO_MEMORY;
  float *values = (float *)(own + near->count + 1), low[3], high[3];
  for (int64_t k = 0; k < count; k++) {
    const float *box = boxes + 6 * k;
    double rise = smaller(rules->most_out, rules->rises * (box[5] - box[2]));
    reached(box, (float)rules->most_out, low, high);
    float top = box[5] + (float)rise;
    int64_t taken = 0, end = cell_of(grid, high[0], 0), side = cell_of(grid, high[1], 1);
    for (int64_t x = cell_of(grid, low[0], 0); x <= end; x++) {
      int64_t column = x * grid->shape[1];
      int64_t stop = near->starts[column + side + 1];
      for (int64_t i = near->starts[column + cell_of(grid, low[1], 1)]; i < stop; i++) {
        const float *place = near->points[i].x;
        own[taken] = near->points[i];
        taken += (place[2] > box[2]) & (place[2] < top) & (place[0] >= low[0]) & (place[0] < high[0]) &
                 (place[1] > low[1]) & (place[1] < high[1]);
      }
    }
    fit_box(box, own, taken, values, rise, fitted + 6 * k, rules);
  }
  free(own);
  return NATIVE_OK;
}

int native_fit_faces(const double *points, int64_t n_points, const float *boxes, int64_t n_boxes,
                     const struct native_face_rules *rules, float *fitted, int threads) {
  if (n_points < 0 || n_boxes < 0 || threads < 1) return NATIVE_BAD_ARGUMENT;
  if (!(rules->least_edge > 0) || rules->most_cells < 1) return NATIVE_BAD_ARGUMENT;
  for (int64_t i = 0; i < 6 * n_boxes; i++)
    if (!__builtin_isfinite(boxes[i]) || (i % 6 >= 3 && boxes[i] < boxes[i - 3])) return NATIVE_BAD_ARGUMENT;
  if (n_boxes == 0) return NATIVE_OK;
  struct grid grid;
  struct near_points near = {NULL, 0, NULL};
  int status = make_grid(&grid, boxes, n_boxes, rules);
  if (status == NATIVE_OK) status = take_near(&grid, points, n_points, &near, threads);
  if (status == NATIVE_OK) status = sort_by_columns(&grid, &near);
  if (status == NATIVE_OK) status = fit_all(&grid, &near, boxes, n_boxes, rules, fitted);
  free(grid.touched);
  free(near.points);
  free(near.starts);
  return status;
}
