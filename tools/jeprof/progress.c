/* progress.c: a line for someone who waits. See progress.h.
 *
 * Asking for the time costs 20 ns, so a note for each of a million addresses may.
 */
#include "progress.h"

#include <time.h>

enum { QUIET_MS = 1000, PAUSE_MS = 250 };

static struct progress *shown; /* the one whose line is there, or NULL */

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_start(struct progress *progress, FILE *terminal, uint64_t (*now_ms)(void))
{
    *progress = (struct progress){.out = terminal, .now_ms = now_ms != NULL ? now_ms : clock_ms};
    progress->next_ms = progress->now_ms() + QUIET_MS;
}

void progress_note(struct progress *progress, const char *work, size_t done, size_t total)
{
    if (progress->out == NULL) {
        return;
    }
    uint64_t now = progress->now_ms();
    if (now < progress->next_ms) {
        return;
    }
    fprintf(progress->out, "\r\033[Kjeprof: %s: %zu of %zu", work, done, total);
    fflush(progress->out);
    progress->next_ms = now + PAUSE_MS;
    progress->is_shown = true;
    shown = progress;
}

void progress_end(struct progress *progress)
{
    if (progress->is_shown) {
        fputs("\r\033[K", progress->out);
        fflush(progress->out);
        progress->is_shown = false;
        shown = NULL;
    }
}

void progress_clear(void)
{
    if (shown != NULL) {
        progress_end(shown);
    }
}
