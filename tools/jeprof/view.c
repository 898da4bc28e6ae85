/* view.c: chooses, names and filters the stacks of a profile. See view.h.
 *
 * All addresses are collected, sorted and looked up first, each once; then the stacks are made of
 * their frames. What the filters say of a frame is found once for each frame too.
 */
#include "view.h"

#include "filter.h"
#include "profile_line.h"
#include "symbol_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What a program calls to get memory, and what stands in dumps for it. The last two are the slow
 * ways of operator new. */
static const char allocator_names[][40] = {
    "malloc",
    "calloc",
    "realloc",
    "free",
    "cfree",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "mallocx",
    "rallocx",
    "xallocx",
    "dallocx",
    "sdallocx",
    "tc_malloc",
    "tc_free",
    "tc_calloc",
    "tc_realloc",
    "tc_memalign",
    "tc_posix_memalign",
    "tc_valloc",
    "tc_pvalloc",
    "tc_new",
    "tc_delete",
    "tc_newarray",
    "tc_new_nothrow",
    "tc_newarray_nothrow",
    "do_malloc",
    "::do_malloc",
    "DoSampledAllocation",
    "simple_alloc::allocate",
    "__malloc_alloc_template::allocate",
    "__builtin_new",
    "__builtin_vec_new",
    "__builtin_delete",
    "operator new",
    "operator new[]",
    "_malloc",
    "_calloc",
    "_realloc",
    "malloc_zone_malloc",
    "malloc_zone_calloc",
    "malloc_zone_valloc",
    "malloc_zone_realloc",
    "malloc_zone_memalign",
    "newImpl",
    "void* newImpl",
    "fallback_impl",
    "void* fallback_impl",
};

enum { FILTER_FOCUSED, FILTER_IGNORED, FILTER_RETAINED, FILTER_EXCLUDED, FILTER_COUNT };

struct filters {
    struct filter of[FILTER_COUNT];
    const struct view_options *options;
};

static void filters_close(struct filters *filters)
{
    for (size_t i = 0; i < FILTER_COUNT; i++) {
        filter_close(&filters->of[i]);
    }
}

static bool filters_open(struct filters *filters, const struct view_options *options,
                         struct profile_error *error)
{
    static const char names[FILTER_COUNT][8] = {"focus", "ignore", "retain", "exclude"};
    const char *patterns[FILTER_COUNT] = {options->focused, options->ignored, options->retained,
                                          options->excluded};
    *filters = (struct filters){.options = options};
    for (size_t i = 0; i < FILTER_COUNT; i++) {
        char reason[sizeof error->text - 16];
        if (!filter_open(&filters->of[i], patterns[i], reason, sizeof reason)) {
            snprintf(error->text, sizeof error->text, "--%s: %s", names[i], reason);
            filters_close(filters);
            return false;
        }
    }
    return true;
}

double view_count(const struct profile_counts *counts, enum view_measure measure)
{
    switch (measure) {
    case VIEW_LIVE_SPACE:
        return counts->live_bytes;
    case VIEW_LIVE_OBJECTS:
        return counts->live_objects;
    case VIEW_TOTAL_SPACE:
        return counts->total_bytes;
    case VIEW_TOTAL_OBJECTS:
        break;
    }
    return counts->total_objects;
}

static bool is_chosen(const struct profile_sample *sample, const struct view_options *options)
{
    double value = view_count(&sample->counts, options->measure);
    return (sample->thread == options->thread || options->keeps_threads) &&
           (options->keeps_all || value > 0 || (value < 0 && !options->drops_negative));
}

static int compare_addresses(const void *left, const void *right)
{
    const struct view_address *a = left;
    const struct view_address *b = right;
    if (a->source != b->source) {
        return a->source < b->source ? -1 : 1;
    }
    return (a->address > b->address) - (a->address < b->address);
}

static void sort_unique(struct view *view)
{
    size_t kept = 0;
    if (view->address_count == 0) {
        return;
    }
    qsort(view->addresses, view->address_count, sizeof *view->addresses, compare_addresses);
    for (size_t i = 1; i < view->address_count; i++) {
        if (compare_addresses(&view->addresses[i], &view->addresses[kept]) != 0) {
            view->addresses[++kept] = view->addresses[i];
        }
    }
    view->address_count = kept + 1;
}

/* Every address of the chosen samples, once. */
static void collect_addresses(struct view *view, const struct profile *profile,
                              const struct view_options *options)
{
    size_t room = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        if (!is_chosen(sample, options)) {
            continue;
        }
        if (view->address_count + sample->depth > room) {
            /* Stacks share most addresses: doubles go before the memory does. */
            sort_unique(view);
            room = 2 * (view->address_count + sample->depth);
            view->addresses = memory_resize(view->addresses, room, sizeof *view->addresses);
        }
        for (size_t frame = 0; frame < sample->depth; frame++) {
            view->addresses[view->address_count++] = (struct view_address){
                .address = profile_instruction(sample, frame), .source = sample->source};
        }
    }
    sort_unique(view);
}

static bool is_allocator_name(const char *name)
{
    for (size_t i = 0; i < sizeof allocator_names / sizeof allocator_names[0]; i++) {
        if (strcmp(name, allocator_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool finds_any(const struct filter *filter, const struct view_frame *frame,
                      const char *short_name)
{
    return filter_finds(filter, short_name) || filter_finds(filter, frame->full) ||
           filter_finds(filter, frame->place);
}

/* Fills a frame from its full name; what of the place is known stands in it. */
static void finish_frame(struct view *view, struct view_frame *frame, const char *full,
                         const struct filters *filters)
{
    static const char suffix[] = " (inline)";
    size_t size = strlen(full) + 1;
    char *name = memcpy(memory_take(size + sizeof suffix, 1), full, size);
    symbol_name_shorten(name);
    frame->full = text_pool_keep(&view->pool, full);
    frame->is_allocator = is_allocator_name(name);
    frame->is_focused = finds_any(&filters->of[FILTER_FOCUSED], frame, name);
    frame->is_ignored = finds_any(&filters->of[FILTER_IGNORED], frame, name);
    frame->is_hidden =
        (filters->options->retained != NULL &&
         !filter_finds(&filters->of[FILTER_RETAINED], name)) ||
        (filters->options->excluded != NULL && filter_finds(&filters->of[FILTER_EXCLUDED], name));
    if (frame->is_inlined) {
        strcat(name, suffix);
    }
    frame->name = text_pool_keep(&view->pool, name);
    free(name);
}

static struct view_frame *take_frames(struct view *view, struct view_address *address, size_t count)
{
    size_t size = count * sizeof *address->frames;
    address->frames = memset(text_pool_take(&view->pool, size), 0, size);
    address->frame_count = count;
    for (size_t i = 0; i < count; i++) {
        address->frames[i].address = address->address;
    }
    return address->frames;
}

static void name_as_number(struct view *view, struct view_address *address, const char *place,
                           const struct filters *filters)
{
    char number[32];
    struct view_frame *frame = take_frames(view, address, 1);
    snprintf(number, sizeof number, "0x%016" PRIx64, address->address);
    frame->place = place;
    finish_frame(view, frame, number, filters);
}

/* Fills the place of a frame from "FILE:LINE", as the profile has it. */
static void place_by_profile(struct view *view, struct view_frame *frame, struct line place)
{
    const char *colon = place.end;
    while (colon > place.at && *--colon != ':') {
    }
    size_t length = (size_t)(colon - place.at);
    if (length == 0 || (length == 2 && memcmp(place.at, "??", 2) == 0)) {
        frame->place = "??:?";
        return;
    }
    char *text = memory_take((size_t)(place.end - place.at) + 3, 1);
    memcpy(text, place.at, (size_t)(place.end - place.at));
    frame->line = (unsigned)strtoul(text + length + 1, NULL, 10);
    if (frame->line == 0) {
        memcpy(text + length, ":?", 3);
    }
    frame->place = text_pool_keep(&view->pool, text);
    text[length] = '\0';
    frame->file = text_pool_keep(&view->pool, text);
    free(text);
}

/* "outer--inlined--innermost", as the profile has it. */
static void name_by_profile(struct view *view, struct view_address *address,
                            const struct profile *profile, const struct filters *filters)
{
    const char *text = profile_symbol(profile, address->source, address->address);
    const char *places = profile_place(profile, address->source, address->address);
    size_t count = 1;
    for (const char *at = strstr(text, "--"); at != NULL; at = strstr(at + 2, "--")) {
        count++;
    }
    struct view_frame *frames = take_frames(view, address, count);
    for (size_t i = count; i-- > 0;) {
        const char *end = i > 0 ? strstr(text, "--") : text + strlen(text);
        size_t length = (size_t)(end - text);
        char *full = memcpy(memory_take(length + 1, 1), text, length);
        frames[i].place = "?";
        if (places != NULL) {
            const char *stop = places + strcspn(places, "\t");
            place_by_profile(view, &frames[i], (struct line){places, stop});
            places = stop + (*stop == '\t');
        }
        frames[i].is_inlined = i + 1 < count;
        finish_frame(view, &frames[i], full, filters);
        free(full);
        text = end + 2;
    }
}

static void name_by_file(struct view *view, struct view_address *address, struct symbols *symbols,
                         const struct filters *filters)
{
    const struct symbol_frame *found;
    size_t count = symbols_find(symbols, address->address, &found);
    if (count == 0) {
        name_as_number(view, address, "??:?", filters);
        return;
    }
    struct view_frame *frames = take_frames(view, address, count);
    for (size_t i = 0; i < count; i++) {
        char number[32];
        const char *file = found[i].file != NULL ? found[i].file : "??";
        char *place = memory_take(strlen(file) + 16, 1);
        sprintf(place, found[i].line > 0 ? "%s:%u" : "%s:?", file, found[i].line);
        snprintf(number, sizeof number, "0x%016" PRIx64, address->address);
        frames[i].file = text_pool_keep(&view->pool, found[i].file);
        frames[i].line = found[i].line;
        frames[i].place = text_pool_keep(&view->pool, place);
        frames[i].is_inlined = found[i].is_inlined;
        finish_frame(view, &frames[i], found[i].function != NULL ? found[i].function : number,
                     filters);
        free(place);
    }
}

static int compare_to_mapping(const void *address, const void *mapping)
{
    uint64_t wanted = *(const uint64_t *)address;
    const struct mapping *candidate = mapping;
    return (wanted >= candidate->end) - (wanted < candidate->start);
}

/* Whether an address is in the allocator's own shared library, whose inner functions may have no
 * names. */
static bool is_in_library(const struct profile *profile, const struct view_address *address)
{
    static const char prefix[] = "libjemalloc";
    const struct profile_source *source = &profile->sources[address->source];
    if (source->mapping_count == 0) {
        return false;
    }
    const struct mapping *mapping =
        bsearch(&address->address, source->mappings, source->mapping_count, sizeof *mapping,
                compare_to_mapping);
    const char *slash = mapping != NULL ? strrchr(mapping->path, '/') : NULL;
    return slash != NULL && strncmp(slash + 1, prefix, sizeof prefix - 1) == 0;
}

/* Names the addresses [first, end) of one source. */
static void name_source(struct view *view, const struct profile *profile, size_t first, size_t end,
                        struct symbols *symbols, const struct filters *filters)
{
    uint64_t *all = memory_take(end - first, sizeof *all);
    for (size_t i = first; i < end; i++) {
        all[i - first] = view->addresses[i].address;
    }
    if (symbols != NULL) {
        symbols_find_all(symbols, all, end - first);
    }
    free(all);
    for (size_t i = first; i < end; i++) {
        struct view_address *address = &view->addresses[i];
        const char *text = profile_symbol(profile, address->source, address->address);
        if (symbols != NULL) {
            name_by_file(view, address, symbols, filters);
        } else if (text != NULL) {
            name_by_profile(view, address, profile, filters);
        } else {
            name_as_number(view, address, "?", filters);
        }
        address->frames[0].is_allocator |= is_in_library(profile, address);
    }
}

static void name_addresses(struct view *view, const struct profile *profile,
                           const struct filters *filters)
{
    for (size_t first = 0; first < view->address_count;) {
        size_t end = first + 1;
        while (end < view->address_count &&
               view->addresses[end].source == view->addresses[first].source) {
            end++;
        }
        name_source(view, profile, first, end, view->symbols[view->addresses[first].source],
                    filters);
        first = end;
    }
}

size_t view_address_index(const struct view *view, size_t source, uint64_t address)
{
    struct view_address wanted = {.address = address, .source = source};
    const struct view_address *found =
        bsearch(&wanted, view->addresses, view->address_count, sizeof wanted, compare_addresses);
    return (size_t)(found - view->addresses);
}

static struct view_address *find_address(const struct view *view,
                                         const struct profile_sample *sample, size_t index)
{
    return &view->addresses[view_address_index(view, sample->source,
                                               profile_instruction(sample, index))];
}

/* The addresses of a stack, and in *first the one behind the allocator's outermost. */
static struct view_address **stack_addresses(const struct view *view,
                                             const struct profile_sample *sample, size_t *first)
{
    struct view_address **addresses = memory_take(sample->depth, sizeof(struct view_address *));
    *first = 0;
    for (size_t i = 0; i < sample->depth; i++) {
        addresses[i] = find_address(view, sample, i);
        for (size_t frame = 0; frame < addresses[i]->frame_count; frame++) {
            if (addresses[i]->frames[frame].is_allocator) {
                *first = i + 1;
            }
        }
    }
    return addresses;
}

static bool is_in_total(const struct profile_sample *sample, const struct view_options *options)
{
    return sample->thread == options->thread;
}

/* Adds the stack of a sample from its address first on. */
static void add_stack(struct view *view, struct view_address **addresses, size_t first,
                      const struct profile_sample *sample, const struct view_options *options)
{
    size_t depth = sample->depth - first;
    addresses += first;
    size_t frame_count = 0;
    for (size_t i = 0; i < depth; i++) {
        frame_count += addresses[i]->frame_count;
    }
    struct view_stack stack = {.sample = sample,
                               .value = view_count(&sample->counts, options->measure)};
    bool is_focused = options->focused == NULL;
    bool is_ignored = false;
    stack.frames = text_pool_take(&view->pool, frame_count * sizeof *stack.frames);
    for (size_t i = 0; i < depth; i++) {
        for (size_t frame = 0; frame < addresses[i]->frame_count; frame++) {
            struct view_frame *added = &addresses[i]->frames[frame];
            is_focused = is_focused || added->is_focused;
            is_ignored = is_ignored || added->is_ignored;
            if (!added->is_hidden) {
                stack.frames[stack.depth++] = added;
            }
        }
    }
    if (is_focused && !is_ignored && stack.depth > 0) {
        view->stacks[view->stack_count++] = stack;
        view->shown_total += is_in_total(sample, options) ? stack.value : 0;
    }
}

static void add_stacks(struct view *view, const struct profile *profile,
                       const struct view_options *options)
{
    view->stacks = memory_take(profile->sample_count, sizeof *view->stacks);
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        if (!is_chosen(sample, options)) {
            continue;
        }
        size_t first;
        struct view_address **addresses = stack_addresses(view, sample, &first);
        if (is_in_total(sample, options)) {
            view->total += view_count(&sample->counts, options->measure);
        }
        add_stack(view, addresses, first, sample, options);
        free(addresses);
    }
}

static void open_symbols(struct view *view, const struct profile *profile,
                         const struct symbols_options *options, const char *program)
{
    view->source_count = profile->source_count;
    view->symbols = memory_take(profile->source_count, sizeof(struct symbols *));
    for (size_t i = 0; i < profile->source_count; i++) {
        const struct profile_source *source = &profile->sources[i];
        if (!source->has_symbols) {
            view->symbols[i] =
                symbols_open(options, program, source->mappings, source->mapping_count);
        }
    }
}

static void close_symbols(struct view *view)
{
    for (size_t i = 0; i < view->source_count; i++) {
        if (view->symbols[i] != NULL) {
            symbols_close(view->symbols[i]);
        }
    }
    free(view->symbols);
}

/* Chooses and names anew, into a view that has symbols alone. */
static void view_fill(struct view *view, const struct profile *profile,
                      const struct view_options *options, const struct filters *filters)
{
    view->measure = options->measure;
    collect_addresses(view, profile, options);
    name_addresses(view, profile, filters);
    add_stacks(view, profile, options);
}

/* Leaves the symbols alone. */
static void view_empty(struct view *view)
{
    struct view kept = {.symbols = view->symbols, .source_count = view->source_count};
    free(view->stacks);
    free(view->addresses);
    text_pool_close(&view->pool);
    *view = kept;
}

bool view_open(struct view *view, const struct profile *profile, const struct view_options *options,
               const struct symbols_options *symbols, const char *program,
               struct profile_error *error)
{
    struct filters filters;
    *view = (struct view){.stacks = NULL};
    if (!filters_open(&filters, options, error)) {
        return false;
    }
    open_symbols(view, profile, symbols, program);
    view_fill(view, profile, options, &filters);
    filters_close(&filters);
    return true;
}

bool view_change(struct view *view, const struct profile *profile,
                 const struct view_options *options, struct profile_error *error)
{
    struct filters filters;
    if (!filters_open(&filters, options, error)) {
        return false;
    }
    view_empty(view);
    view_fill(view, profile, options, &filters);
    filters_close(&filters);
    return true;
}

void view_close(struct view *view)
{
    view_empty(view);
    close_symbols(view);
    *view = (struct view){.stacks = NULL};
}
