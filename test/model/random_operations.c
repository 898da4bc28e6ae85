/* random_operations.c: goal: no sequence of calls loses, moves, overlaps or changes a live block.
 *
 * Method: each thread holds a table of blocks and draws operations over the whole public API; a
 * model knows what every live block holds and where it lies (model_block.h, address_shadow.h).
 * Threads hand blocks to each other through mailboxes, so frees and resizes come from other
 * threads than the allocation; several generations of threads die and leave their blocks to the
 * next. Every number is drawn from the printed seed; with one thread a run repeats exactly, with
 * more the schedule differs.
 *
 *   random_operations [--seed N] [--operations N] [--threads N] [--max-size BYTES]
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "address_shadow.h"
#include "model_block.h"
#include "model_operations.h"
#include "random_stream.h"

enum {
    SLOTS_PER_THREAD = 600,
    MAILBOX_SLOTS = 32,
    THREADS_MAX = 64,
    GENERATIONS = 8,
    HAND_OVER_PERCENT = 10,
    QUIET_PER_10000 = 20,
    CHECK_ALL_EVERY = 20000,
};

struct mailbox {
    pthread_mutex_t guard;
    struct block block[MAILBOX_SLOTS]; /* under guard */
    size_t count;                      /* under guard */
};

struct worker {
    pthread_t thread;
    struct random_stream random;
    struct mailbox mailbox;
    struct block slot[SLOTS_PER_THREAD];
    uint64_t operation_count; /* to do in one generation */
    uint64_t operations_done;
};

static struct {
    uint64_t seed;
    uint64_t operation_count;
    size_t thread_count;
    size_t maximum_bytes;
} settings = {.seed = 0, .operation_count = 200000, .thread_count = 1, .maximum_bytes = 8 << 20};

static struct worker *workers;

static void operation_run(const struct operation_table *table, struct worker *worker,
                          struct block *block)
{
    const struct operation *operation = operation_draw(table, &worker->random);
    model_operation_set(operation->name, worker->operations_done);
    operation->run(&worker->random, block);
}

/* Moves the block to a random other thread; keeps it when that one's mailbox is full. */
static void block_hand_over(struct worker *worker, struct block *block)
{
    struct mailbox *mailbox =
        &workers[random_below(&worker->random, settings.thread_count)].mailbox;
    pthread_mutex_lock(&mailbox->guard);
    if (mailbox->count < MAILBOX_SLOTS) {
        mailbox->block[mailbox->count++] = *block;
        block->start = NULL;
    }
    pthread_mutex_unlock(&mailbox->guard);
}

static bool mailbox_take(struct mailbox *mailbox, struct block *block)
{
    pthread_mutex_lock(&mailbox->guard);
    bool found = mailbox->count > 0;
    if (found) {
        *block = mailbox->block[--mailbox->count];
    }
    pthread_mutex_unlock(&mailbox->guard);
    return found;
}

/* A block of another thread: resized here sometimes, freed here always. */
static void mailbox_serve(struct worker *worker)
{
    struct block block;
    if (!mailbox_take(&worker->mailbox, &block)) {
        return;
    }
    if (random_chance(&worker->random, 30)) {
        operation_run(&resize_operations, worker, &block);
    }
    operation_run(&free_operations, worker, &block);
}

static void check_all(const struct worker *worker)
{
    model_operation_set("check of all blocks", worker->operations_done);
    for (size_t i = 0; i < SLOTS_PER_THREAD; i++) {
        if (worker->slot[i].start != NULL) {
            block_check(&worker->slot[i]);
        }
    }
}

static void step(struct worker *worker)
{
    struct block *block = &worker->slot[random_below(&worker->random, SLOTS_PER_THREAD)];
    size_t kind = random_below(&worker->random, 100);
    if (block->start == NULL) {
        operation_run(&allocate_operations, worker, block);
    } else if (kind < HAND_OVER_PERCENT && settings.thread_count > 1) {
        block_hand_over(worker, block);
    } else if (kind < 40) {
        operation_run(&resize_operations, worker, block);
    } else {
        operation_run(&free_operations, worker, block);
    }
    if (random_below(&worker->random, 10000) < QUIET_PER_10000) {
        struct block none = {0};
        operation_run(&quiet_operations, worker, &none);
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    for (uint64_t i = 0; i < worker->operation_count; i++) {
        step(worker);
        mailbox_serve(worker);
        worker->operations_done++;
        if (worker->operations_done % CHECK_ALL_EVERY == 0) {
            check_all(worker);
        }
    }
    return NULL;
}

static void generation_run(void)
{
    for (size_t i = 0; i < settings.thread_count; i++) {
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            perror("pthread_create");
            exit(EXIT_FAILURE);
        }
    }
    for (size_t i = 0; i < settings.thread_count; i++) {
        pthread_join(workers[i].thread, NULL);
    }
}

/* The first thread's blocks, and those in its mailbox, freed by the main thread. */
static size_t worker_finish(struct worker *worker)
{
    size_t freed = 0;
    struct block block;
    while (mailbox_take(&worker->mailbox, &block)) {
        operation_run(&free_operations, worker, &block);
        freed++;
    }
    for (size_t i = 0; i < SLOTS_PER_THREAD; i++) {
        if (worker->slot[i].start != NULL) {
            operation_run(&free_operations, worker, &worker->slot[i]);
            freed++;
        }
    }
    return freed;
}

static void workers_start(void)
{
    workers = mmap(NULL, sizeof *workers * settings.thread_count, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (workers == MAP_FAILED || !shadow_start()) {
        perror("mmap of the model's own memory");
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < settings.thread_count; i++) {
        workers[i].random = random_stream_of(settings.seed, i);
        workers[i].operation_count =
            settings.operation_count / settings.thread_count / GENERATIONS + 1;
        pthread_mutex_init(&workers[i].mailbox.guard, NULL);
    }
}

static bool number_parse(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0';
}

static bool settings_parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"operations", required_argument, NULL, 'o'},
        {"threads", required_argument, NULL, 't'},
        {"max-size", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t number;
        if (letter == '?' || !number_parse(optarg, &number)) {
            return false;
        }
        settings.seed = letter == 's' ? number : settings.seed;
        settings.operation_count = letter == 'o' ? number : settings.operation_count;
        settings.thread_count = letter == 't' ? (size_t)number : settings.thread_count;
        settings.maximum_bytes = letter == 'm' ? (size_t)number : settings.maximum_bytes;
    }
    return optind == argc && settings.thread_count >= 1 && settings.thread_count <= THREADS_MAX &&
           settings.maximum_bytes >= 1;
}

static uint64_t seed_of_the_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return random_mix((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) >> 32;
}

int main(int argc, char **argv)
{
    static char command[512];
    settings.seed = seed_of_the_clock();
    if (!settings_parse(argc, argv)) {
        fprintf(stderr,
                "usage: %s [--seed N] [--operations N] [--threads 1..%d] [--max-size BYTES]\n",
                argv[0], THREADS_MAX);
        return EXIT_FAILURE;
    }
    snprintf(command, sizeof command,
             "%s --seed %llu --operations %llu --threads %zu --max-size %zu", argv[0],
             (unsigned long long)settings.seed, (unsigned long long)settings.operation_count,
             settings.thread_count, settings.maximum_bytes);
    printf("%s\n", command);
    fflush(stdout);
    model_command_set(command);
    workers_start();
    operations_start(settings.maximum_bytes);

    for (size_t i = 0; i < GENERATIONS; i++) {
        generation_run();
    }
    size_t freed = 0;
    uint64_t done = 0;
    for (size_t i = 0; i < settings.thread_count; i++) {
        done += workers[i].operations_done;
        freed += worker_finish(&workers[i]);
    }
    printf("%llu steps, 0 losses; %zu blocks were live at the end\n", (unsigned long long)done,
           freed);
    return EXIT_SUCCESS;
}
