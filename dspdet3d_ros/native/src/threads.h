#ifndef DSPDET3D_NATIVE_THREADS_H
#define DSPDET3D_NATIVE_THREADS_H

#include <stdint.h>

#define MOST_THREADS 256

/* Works on one item; `scratch` belongs to the calling thread alone. */
typedef void (*work_function)(const void *context, int64_t item, void *scratch);

/* Calls work(context, item, scratch) once for each item in [0, items), spread over up to `threads` threads.
 *
 * Items must not write to the same places. Each thread gets `scratch_bytes` of its own, aligned to 64 bytes. Threads
 * start here. On a busy machine a thread may get no core before all items are done: nobody waits for it, and it ends
 * later without a look at the context. A process may fork between calls. Where fewer threads can be had, fewer do the
 * work. Returns a native_status. */
int for_items(work_function work, const void *context, int64_t items, int threads, int64_t scratch_bytes);

#endif
