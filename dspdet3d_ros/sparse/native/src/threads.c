#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "native.h"

struct job {
  work_function work;
  const void *context;
  int64_t items;
  atomic_int_fast64_t next;
};

struct worker {
  struct job *job;
  void *scratch;
  pthread_t thread;
};

static void *run(void *argument) {
  const struct worker *worker = argument;
  struct job *job = worker->job;
  for (;;) {
    int64_t item = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
    if (item >= job->items) return NULL;
    job->work(job->context, item, worker->scratch);
  }
}

int for_items(work_function work, const void *context, int64_t items, int threads, int64_t scratch_bytes) {
  if (items <= 0) return NATIVE_OK;
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads > items) threads = (int)items;
  if (threads < 1) threads = 1;
  int64_t each = (scratch_bytes + 63) / 64 * 64;
  struct worker workers[MOST_THREADS];
  struct job job = {work, context, items, 0};
  /* Without memory for all threads, one can still do the work. */
  char *scratch = NULL;
  if (each > 0) {
    scratch = aligned_alloc(64, (size_t)(each * threads));
    if (scratch == NULL && threads > 1) {
      threads = 1;
      scratch = aligned_alloc(64, (size_t)each);
    }
    if (scratch == NULL) return NATIVE_NO_MEMORY;
  }
  int started = 1;
  for (; started < threads; started++) {
    workers[started] = (struct worker){&job, scratch ? scratch + started * each : NULL, 0};
    if (pthread_create(&workers[started].thread, NULL, run, &workers[started]) != 0) break;
  }
  workers[0] = (struct worker){&job, scratch, 0};
  run(&workers[0]);
  for (int i = 1; i < started; i++) pthread_join(workers[i].thread, NULL);
  free(scratch);
  return NATIVE_OK;
}
