/* profile_sum.c: adds profiles up. See profile_sum.h.
 *
 * Mappings are sorted by address when they are read, so two lists of them are compared and joined
 * in one pass.
 */
#include "profile_sum.h"

#include <stdlib.h>
#include <string.h>

/* The code of two overlapping mappings is the same: an address means the same in both. */
static bool maps_same(const struct mapping *a, const struct mapping *b)
{
    return a->start - a->offset == b->start - b->offset && strcmp(a->path, b->path) == 0;
}

/* The first mapping from *index on that ends behind an address; NULL: none. *index moves there. */
static const struct mapping *mapping_behind(const struct profile_source *source, size_t *index,
                                            uint64_t address)
{
    while (*index < source->mapping_count && source->mappings[*index].end <= address) {
        ++*index;
    }
    return *index < source->mapping_count ? &source->mappings[*index] : NULL;
}

static bool has_code(const struct profile_source *source)
{
    for (size_t i = 0; i < source->mapping_count; i++) {
        if (source->mappings[i].is_executable) {
            return true;
        }
    }
    return false;
}

/* Whether both are of one process, as far as their code tells. */
static bool is_same_source(const struct profile_source *a, const struct profile_source *b)
{
    size_t index = 0;
    size_t agreed = 0;
    for (size_t i = 0; i < b->mapping_count; i++) {
        const struct mapping *mapping = &b->mappings[i];
        const struct mapping *other = mapping_behind(a, &index, mapping->start);
        bool is_code = other != NULL && mapping->is_executable && other->is_executable;
        if (!is_code || other->start >= mapping->end) {
            continue;
        }
        if (!maps_same(mapping, other)) {
            return false;
        }
        agreed++;
    }
    return agreed > 0 || (!has_code(a) && !has_code(b));
}

static int compare_mappings(const void *left, const void *right)
{
    const struct mapping *a = left;
    const struct mapping *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

static int compare_symbols(const void *left, const void *right)
{
    const struct profile_symbol *a = left;
    const struct profile_symbol *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

/* Adds the mappings that stand where the source has none. */
static void join_mappings(struct profile *sum, struct profile_source *source,
                          const struct profile_source *added)
{
    size_t index = 0;
    size_t before = source->mapping_count;
    struct profile_source old = *source;
    if (added->mapping_count == 0) {
        return;
    }
    source->mappings =
        memory_resize(source->mappings, before + added->mapping_count, sizeof *source->mappings);
    old.mappings = source->mappings;
    for (size_t i = 0; i < added->mapping_count; i++) {
        struct mapping mapping = added->mappings[i];
        const struct mapping *other = mapping_behind(&old, &index, mapping.start);
        if (other == NULL || other->start >= mapping.end) {
            mapping.path = text_pool_keep(&sum->pool, mapping.path);
            mapping.build_id = text_pool_keep(&sum->pool, mapping.build_id);
            source->mappings[source->mapping_count++] = mapping;
        }
    }
    qsort(source->mappings, source->mapping_count, sizeof *source->mappings, compare_mappings);
}

static void join_symbols(struct profile *sum, struct profile_source *source,
                         const struct profile_source *added)
{
    source->has_symbols = source->has_symbols || added->has_symbols;
    if (source->program == NULL) {
        source->program = text_pool_keep(&sum->pool, added->program);
    }
    if (added->symbol_count == 0) {
        return;
    }
    source->symbols = memory_resize(source->symbols, source->symbol_count + added->symbol_count,
                                    sizeof *source->symbols);
    for (size_t i = 0; i < added->symbol_count; i++) {
        struct profile_symbol symbol = added->symbols[i];
        symbol.name = text_pool_keep(&sum->pool, symbol.name);
        source->symbols[source->symbol_count++] = symbol;
    }
    qsort(source->symbols, source->symbol_count, sizeof *source->symbols, compare_symbols);
}

static int compare_places(const void *left, const void *right)
{
    const struct profile_place *a = left;
    const struct profile_place *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

static void join_places(struct profile *sum, struct profile_source *source,
                        const struct profile_source *added)
{
    source->has_places = source->has_places || added->has_places;
    if (added->place_count == 0) {
        return;
    }
    source->places = memory_resize(source->places, source->place_count + added->place_count,
                                   sizeof *source->places);
    for (size_t i = 0; i < added->place_count; i++) {
        struct profile_place place = added->places[i];
        place.text = text_pool_keep(&sum->pool, place.text);
        source->places[source->place_count++] = place;
    }
    qsort(source->places, source->place_count, sizeof *source->places, compare_places);
}

/* The index of the sum's source that a part's source belongs to; made when there is none. */
static size_t join_source(struct profile *sum, const struct profile_source *added)
{
    size_t index = 0;
    while (index < sum->source_count && !is_same_source(&sum->sources[index], added)) {
        index++;
    }
    if (index == sum->source_count) {
        sum->sources = memory_resize(sum->sources, index + 1, sizeof *sum->sources);
        sum->sources[index] = (struct profile_source){.mappings = NULL};
        sum->source_count++;
    }
    join_mappings(sum, &sum->sources[index], added);
    join_symbols(sum, &sum->sources[index], added);
    join_places(sum, &sum->sources[index], added);
    return index;
}

static void add_threads(struct profile *sum, const struct profile *part)
{
    if (part->thread_count == 0) {
        return;
    }
    sum->threads =
        memory_resize(sum->threads, sum->thread_count + part->thread_count, sizeof *sum->threads);
    for (size_t i = 0; i < part->thread_count; i++) {
        struct profile_thread thread = part->threads[i];
        thread.name = text_pool_keep(&sum->pool, thread.name);
        sum->threads[sum->thread_count++] = thread;
    }
}

static void scale(struct profile_counts *counts, double factor)
{
    counts->live_objects *= factor;
    counts->live_bytes *= factor;
    counts->total_objects *= factor;
    counts->total_bytes *= factor;
}

static void add_samples(struct profile *sum, const struct profile *part,
                        const size_t *source_indexes, double factor)
{
    if (part->sample_count == 0) {
        return;
    }
    const uint64_t *copied = NULL; /* of the sample before: lines of threads share a stack */
    const uint64_t *copy = NULL;
    sum->samples =
        memory_resize(sum->samples, sum->sample_count + part->sample_count, sizeof *sum->samples);
    for (size_t i = 0; i < part->sample_count; i++) {
        struct profile_sample sample = part->samples[i];
        if (sample.stack != copied) {
            size_t size = sample.depth * sizeof *sample.stack;
            copied = sample.stack;
            copy = memcpy(text_pool_take(&sum->pool, size), sample.stack, size);
        }
        sample.stack = copy;
        sample.source = source_indexes[sample.source];
        scale(&sample.counts, factor);
        sum->samples[sum->sample_count++] = sample;
    }
}

void profile_add(struct profile *sum, const struct profile *part, double factor)
{
    size_t *source_indexes = memory_take(part->source_count, sizeof *source_indexes);
    if (sum->source_count == 0) {
        sum->kind = part->kind;
        sum->period = part->period;
        sum->sampled_period = part->sampled_period;
    }
    for (size_t i = 0; i < part->source_count; i++) {
        source_indexes[i] = join_source(sum, &part->sources[i]);
    }
    add_threads(sum, part);
    add_samples(sum, part, source_indexes, factor);
    free(source_indexes);
}

static int compare_samples(const void *left, const void *right)
{
    const struct profile_sample *a = left;
    const struct profile_sample *b = right;
    if (a->source != b->source) {
        return a->source < b->source ? -1 : 1;
    }
    if (a->thread != b->thread) {
        return a->thread < b->thread ? -1 : 1;
    }
    if (a->dump != b->dump) {
        return a->dump < b->dump ? -1 : 1;
    }
    for (size_t i = 0; i < a->depth && i < b->depth; i++) {
        if (a->stack[i] != b->stack[i]) {
            return a->stack[i] < b->stack[i] ? -1 : 1;
        }
    }
    return (a->depth > b->depth) - (a->depth < b->depth);
}

static int compare_threads(const void *left, const void *right)
{
    const struct profile_thread *a = left;
    const struct profile_thread *b = right;
    if (a->id != b->id) {
        return a->id < b->id ? -1 : 1;
    }
    return strcmp(b->name, a->name); /* "" last: a name is kept before none */
}

static void merge_threads(struct profile *profile)
{
    size_t kept = 0;
    if (profile->thread_count == 0) {
        return;
    }
    qsort(profile->threads, profile->thread_count, sizeof *profile->threads, compare_threads);
    for (size_t i = 1; i < profile->thread_count; i++) {
        if (profile->threads[i].id != profile->threads[kept].id) {
            profile->threads[++kept] = profile->threads[i];
        }
    }
    profile->thread_count = kept + 1;
}

void profile_merge(struct profile *profile)
{
    size_t kept = 0;
    merge_threads(profile);
    if (profile->sample_count == 0) {
        return;
    }
    qsort(profile->samples, profile->sample_count, sizeof *profile->samples, compare_samples);
    for (size_t i = 1; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        struct profile_counts *counts = &profile->samples[kept].counts;
        if (compare_samples(sample, &profile->samples[kept]) != 0) {
            profile->samples[++kept] = *sample;
            continue;
        }
        counts->live_objects += sample->counts.live_objects;
        counts->live_bytes += sample->counts.live_bytes;
        counts->total_objects += sample->counts.total_objects;
        counts->total_bytes += sample->counts.total_bytes;
    }
    profile->sample_count = kept + 1;
}
