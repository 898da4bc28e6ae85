/* fuzz_operations.c: goal: no order of allocations, resizes and frees, of any sizes, alignments and
 * flags, gives overlapping, misaligned, too small or changed blocks.
 * Method: the operations and the model of test/model, but each draw takes two bytes of the input,
 * so that the fuzzer finds the sequences that reach code not reached before. After each input all
 * blocks are checked and freed, and caches and unused pages given back, to let inputs repeat.
 */
#include <jemalloc/jemalloc.h>

#include "address_shadow.h"
#include "fuzz_input.h"
#include "model_block.h"
#include "model_operations.h"

enum { SLOTS = 48, STEPS_MAX = 4000, SIZE_MAX_BYTES = 4 << 20 };

static struct block slots[SLOTS];

static void operation_run(const struct operation_table *table, struct random_stream *random,
                          struct block *block, uint64_t number)
{
    const struct operation *operation = operation_draw(table, random);
    model_operation_set(operation->name, number);
    operation->run(random, block);
}

static void step(struct random_stream *random, uint64_t number)
{
    struct block none = {0};
    size_t place = random_below(random, SLOTS + 1);
    if (place == SLOTS) {
        operation_run(&quiet_operations, random, &none, number);
        return;
    }
    struct block *block = &slots[place];
    if (block->start == NULL) {
        operation_run(&allocate_operations, random, block, number);
    } else {
        bool resizes = random_chance(random, 50);
        operation_run(resizes ? &resize_operations : &free_operations, random, block, number);
    }
}

static void give_all_back(struct random_stream *random, uint64_t number)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].start != NULL) {
            block_check(&slots[i]);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].start != NULL) {
            operation_run(&free_operations, random, &slots[i], number + i);
        }
    }
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0); /* EFAULT without a cache */
    HOLDS(mallctl("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_started;
    if (!is_started) {
        model_command_set("test/fuzz/run_fuzz prints it, with the file of the input");
        HOLDS(shadow_start());
        operations_start(SIZE_MAX_BYTES);
        is_started = true;
    }
    struct random_stream random = {.bytes = data, .byte_count = size};
    uint64_t number = 0;
    while (random.byte_count > 0 && number < STEPS_MAX) {
        step(&random, number++);
    }
    give_all_back(&random, number);
    return 0;
}
