/* free_forms.c: the forms of free()'s fast path that map-and-block-start-test.md compares.
 *
 * Not built: that page has the command that compiles this file and counts the instructions on the
 * way of a hit. The forms share the bins and the map of the library, so that only the tests differ.
 * plain_root has NULL for a missing leaf; its leaves are as those of the library.
 */
#include "api/block.h"

#define FORM EXPORT __attribute__((noinline))

extern struct map_leaf *plain_root[ROOT_COUNT];
FORM void form_null_leaf(void *block);
FORM void form_null_leaf_last(void *block);
FORM void form_null_leaf_start(void *block);
FORM void form_zero_leaf(void *block);
FORM void form_zero_leaf_last(void *block);
FORM void form_zero_leaf_start(void *block);
FORM void form_index_code(void *block);
FORM void form_ours(void *block);

/* The bin by a map whose root holds pointers, NULL for a missing leaf. */
ALWAYS_INLINE bool bin_by_pointers(const void *block, struct cache_bin **bin)
{
    struct cache_front *front = thread_front_now();
    uintptr_t address = (uintptr_t)block;
    uintptr_t high = address >> LEAF_LG;
    if (UNLIKELY(high >= ROOT_COUNT)) {
        return false;
    }
    const struct map_leaf *leaf = plain_root[high];
    if (UNLIKELY(leaf == NULL)) {
        return false;
    }
    *bin = bin_at(front, leaf->class_code[(uint32_t)address >> PAGE_LG]);
    return true;
}

/* The code by the library's map, where a missing leaf reads as zero bytes. */
ALWAYS_INLINE bool code_by_distances(const void *block, size_t *code)
{
    uintptr_t address = (uintptr_t)block;
    uintptr_t high = address >> LEAF_LG;
    if (UNLIKELY(high >= ROOT_COUNT)) {
        return false;
    }
    const char *leaf = (const char *)&map_base;
    LAUNDER(leaf);
    const char *root = leaf + offsetof(struct map_base, root);
    leaf += ((const uintptr_t *)root)[high];
    LAUNDER(leaf);
    *code = (uint8_t)leaf[(uint32_t)address >> PAGE_LG];
    return true;
}

ALWAYS_INLINE bool bin_by_distances(const void *block, struct cache_bin **bin)
{
    struct cache_front *front = thread_front_now();
    size_t code;
    if (!code_by_distances(block, &code)) {
        return false;
    }
    *bin = bin_at(front, code);
    return true;
}

/* The same, for codes that are plain indices of bins. */
ALWAYS_INLINE bool bin_by_index(const void *block, struct cache_bin **bin)
{
    struct cache_front *front = thread_front_now();
    size_t code;
    if (!code_by_distances(block, &code)) {
        return false;
    }
    *bin = &front->bin[code];
    LAUNDER(*bin);
    return true;
}

/* The tests and the push are those of fast_free(). */
ALWAYS_INLINE bool checked_push(struct cache_bin *bin, void *block, bool test_start, bool test_last)
{
    if (test_start) {
        uint64_t product = (uintptr_t)block * bin->inverse;
        LAUNDER(bin);
        if (UNLIKELY(product >= bin->inverse)) {
            return false;
        }
    }
    void **head = bin->head;
    if (UNLIKELY((uint16_t)(uintptr_t)head == bin->full)) {
        return false;
    }
    if (test_last && UNLIKELY(*head == block)) {
        return false;
    }
    head[-1] = block;
    bin->head = head - 1;
    return true;
}

/* Each form: which map, whether the block start is tested, whether the last free is. */
#define FREE_FORM(name, by, test_start, test_last)                                            \
    void name(void *block)                                                                    \
    {                                                                                         \
        struct cache_bin *bin;                                                                \
        if (UNLIKELY(!by(block, &bin)) || !checked_push(bin, block, test_start, test_last)) { \
            free_slow(block);                                                                 \
        }                                                                                     \
    }

FREE_FORM(form_null_leaf, bin_by_pointers, false, false)
FREE_FORM(form_null_leaf_last, bin_by_pointers, false, true)
FREE_FORM(form_null_leaf_start, bin_by_pointers, true, true)
FREE_FORM(form_zero_leaf, bin_by_distances, false, false)
FREE_FORM(form_zero_leaf_last, bin_by_distances, false, true)
FREE_FORM(form_zero_leaf_start, bin_by_distances, true, true)
FREE_FORM(form_index_code, bin_by_index, true, true)

/* The library's own. */
void form_ours(void *block)
{
    if (UNLIKELY(!fast_free(block))) {
        free_slow(block);
    }
}
