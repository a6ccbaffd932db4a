#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "native.h"

struct job;

struct worker {
  struct job *job;
  void *scratch;
};

/* Freed by the last of its users: the caller and the threads that were started. */
struct job {
  work_function work;
  const void *context;
  int64_t items;
  atomic_int_fast64_t next, done;
  atomic_int users;
  pthread_mutex_t lock;
  pthread_cond_t all_done;
  char *scratch;
  struct worker workers[];
};

static void leave(struct job *job) {
  if (atomic_fetch_sub_explicit(&job->users, 1, memory_order_acq_rel) != 1) return;
  pthread_cond_destroy(&job->all_done);
  pthread_mutex_destroy(&job->lock);
  free(job->scratch);
  free(job);
}

/* Only who has an item reads the context: the caller waits for that item. */
static void work_on_items(const struct worker *worker) {
  struct job *job = worker->job;
  for (;;) {
    int64_t item = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
    if (item >= job->items) return;
    job->work(job->context, item, worker->scratch);
    if (atomic_fetch_add_explicit(&job->done, 1, memory_order_acq_rel) + 1 == job->items) {
      pthread_mutex_lock(&job->lock);
      pthread_cond_signal(&job->all_done);
      pthread_mutex_unlock(&job->lock);
    }
  }
}

static void *run(void *argument) {
  const struct worker *worker = argument;
  work_on_items(worker);
  leave(worker->job);
  return NULL;
}

static struct job *make_job(work_function work, const void *context, int64_t items, int threads, size_t each) {
  struct job *job = malloc(sizeof(struct job) + (size_t)threads * sizeof(struct worker));
  if (job == NULL) return NULL;
  job->work = work;
  job->context = context;
  job->items = items;
  atomic_init(&job->next, 0);
  atomic_init(&job->done, 0);
  atomic_init(&job->users, 1);
  job->scratch = each > 0 ? aligned_alloc(64, each * (size_t)threads) : NULL;
  if (each > 0 && job->scratch == NULL) {
    free(job);
    return NULL;
  }
  for (int i = 0; i < threads; i++)
    job->workers[i] = (struct worker){job, job->scratch ? job->scratch + (size_t)i * each : NULL};
  pthread_mutex_init(&job->lock, NULL);
  pthread_cond_init(&job->all_done, NULL);
  return job;
}

static void start_threads(struct job *job, int threads) {
  pthread_attr_t detached;
  if (threads < 2 || pthread_attr_init(&detached) != 0) return;
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  for (int i = 1; i < threads; i++) {
    pthread_t thread;
    atomic_fetch_add_explicit(&job->users, 1, memory_order_relaxed);
    if (pthread_create(&thread, &detached, run, &job->workers[i]) != 0) {
      atomic_fetch_sub_explicit(&job->users, 1, memory_order_relaxed);
      break;
    }
  }
  pthread_attr_destroy(&detached);
}

int for_items(work_function work, const void *context, int64_t items, int threads, int64_t scratch_bytes) {
  if (items <= 0) return NATIVE_OK;
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads > items) threads = (int)items;
  if (threads < 1) threads = 1;
  size_t each = (size_t)(scratch_bytes + 63) / 64 * 64;
  struct job *job = make_job(work, context, items, threads, each);
  /* Without memory for all threads, one can still do the work. */
  if (job == NULL && threads > 1) {
    threads = 1;
    job = make_job(work, context, items, threads, each);
  }
  if (job == NULL) return NATIVE_NO_MEMORY;
  start_threads(job, threads);
  work_on_items(&job->workers[0]);
  pthread_mutex_lock(&job->lock);
  while (atomic_load_explicit(&job->done, memory_order_acquire) < items) pthread_cond_wait(&job->all_done, &job->lock);
  pthread_mutex_unlock(&job->lock);
  leave(job);
  return NATIVE_OK;
}
