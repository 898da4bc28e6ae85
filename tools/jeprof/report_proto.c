/* report_proto.c: profile.proto, by protobuf-c and zlib. See report_proto.h.
 *
 * A location is an address of the view, with its frames as lines. All messages lie in one pool and
 * go with it. Mappings without a build id get that of the file that has their path now.
 */
#include "report_proto.h"

#include "elf_file.h"
#include "frame_rows.h"
#include "profile.pb-c.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A mapping with code, in the order of their ids. */
struct placed_mapping {
    const struct mapping *mapping;
    size_t source;
};

struct proto {
    const struct export *export;
    struct frame_rows table;
    struct text_pool pool;
    struct text_map string_ids;
    Pprof__Profile profile;
    struct placed_mapping *mappings;
    size_t string_room, sample_room;
    double wanted[MEASURES]; /* sums so far, and what was written of them */
    int64_t written[MEASURES];
};

/* As Go's heap profiles have them: the last is what viewers show first. */
static const enum view_measure sample_types[MEASURES] = {VIEW_TOTAL_OBJECTS, VIEW_TOTAL_SPACE,
                                                         VIEW_LIVE_OBJECTS, VIEW_LIVE_SPACE};

static int64_t string_id(struct proto *proto, const char *text)
{
    text = text != NULL ? text : "";
    struct text_entry *entry = text_map_find(&proto->string_ids, text);
    if (entry->key != NULL) {
        return strtoll(entry->value, NULL, 10);
    }
    char number[32];
    Pprof__Profile *profile = &proto->profile;
    const char *kept = text_pool_keep(&proto->pool, text);
    snprintf(number, sizeof number, "%zu", profile->n_string_table);
    text_map_fill(&proto->string_ids, entry, kept, text_pool_keep(&proto->pool, number));
    if (profile->n_string_table == proto->string_room) {
        proto->string_room = proto->string_room > 0 ? 2 * proto->string_room : 64;
        profile->string_table =
            memory_resize(profile->string_table, proto->string_room, sizeof(char *));
    }
    profile->string_table[profile->n_string_table++] = (char *)(uintptr_t)kept;
    return (int64_t)profile->n_string_table - 1;
}

static Pprof__ValueType *value_type(struct proto *proto, const char *type, const char *unit)
{
    Pprof__ValueType *made = text_pool_take(&proto->pool, sizeof *made);
    pprof__value_type__init(made);
    made->type = string_id(proto, type);
    made->unit = string_id(proto, unit);
    return made;
}

static void add_types(struct proto *proto)
{
    Pprof__Profile *profile = &proto->profile;
    profile->n_sample_type = MEASURES;
    profile->sample_type = text_pool_take(&proto->pool, MEASURES * sizeof(Pprof__ValueType *));
    for (size_t i = 0; i < MEASURES; i++) {
        const struct measure *measure = &measures[sample_types[i]];
        profile->sample_type[i] = value_type(proto, measure->name, measure->unit);
    }
    profile->period_type = value_type(proto, "space", "bytes");
    profile->period = (int64_t)proto->export->profile->sampled_period;
    profile->default_sample_type = string_id(proto, measures[proto->export->measure].name);
}

/* All mappings that hold code; pprof takes the first for the program's. */
static size_t list_mappings(struct proto *proto)
{
    const struct profile *profile = proto->export->profile;
    size_t count = 0;
    size_t room = 0;
    bool has_program = false;
    for (size_t i = 0; i < profile->source_count; i++) {
        room += profile->sources[i].mapping_count;
    }
    proto->mappings = memory_take(room, sizeof *proto->mappings);
    for (size_t i = 0; i < profile->source_count; i++) {
        for (size_t j = 0; j < profile->sources[i].mapping_count; j++) {
            const struct mapping *mapping = &profile->sources[i].mappings[j];
            if (!mapping->is_executable) {
                continue;
            }
            proto->mappings[count++] = (struct placed_mapping){mapping, i};
            if (!has_program && strcmp(mapping->path, proto->export->program) == 0) {
                struct placed_mapping first = proto->mappings[0];
                proto->mappings[0] = proto->mappings[count - 1];
                proto->mappings[count - 1] = first;
                has_program = true;
            }
        }
    }
    return count;
}

/* The build id of a mapping, by its file when the profile does not tell it. */
static int64_t build_id_of(struct proto *proto, const struct mapping *mapping)
{
    struct debug_places places = {.path = NULL};
    struct elf_file elf;
    if (mapping->build_id != NULL || mapping->path[0] != '/' ||
        elf_file_open(&elf, mapping->path, &places) != NULL) {
        return string_id(proto, mapping->build_id);
    }
    int64_t id = string_id(proto, elf.build_id);
    elf_file_close(&elf);
    return id;
}

static void add_mappings(struct proto *proto)
{
    Pprof__Profile *profile = &proto->profile;
    profile->n_mapping = list_mappings(proto);
    profile->mapping = text_pool_take(&proto->pool, profile->n_mapping * sizeof(Pprof__Mapping *));
    for (size_t i = 0; i < profile->n_mapping; i++) {
        const struct mapping *mapping = proto->mappings[i].mapping;
        Pprof__Mapping *made = text_pool_take(&proto->pool, sizeof *made);
        pprof__mapping__init(made);
        made->id = i + 1;
        made->memory_start = mapping->start;
        made->memory_limit = mapping->end;
        made->file_offset = mapping->offset;
        made->filename = string_id(proto, mapping->path);
        made->build_id = build_id_of(proto, mapping);
        /* What could be named has been: pprof need not look for the files. */
        made->has_functions = true;
        made->has_filenames = true;
        made->has_line_numbers = true;
        made->has_inline_frames = true;
        profile->mapping[i] = made;
    }
}

/* The id of the mapping that holds an address; 0: none. */
static uint64_t mapping_id(const struct proto *proto, const struct view_address *address)
{
    for (size_t i = 0; i < proto->profile.n_mapping; i++) {
        const struct placed_mapping *placed = &proto->mappings[i];
        if (placed->source == address->source && address->address >= placed->mapping->start &&
            address->address < placed->mapping->end) {
            return i + 1;
        }
    }
    return 0;
}

static void add_functions(struct proto *proto)
{
    Pprof__Profile *profile = &proto->profile;
    const struct frame_rows *table = &proto->table;
    profile->n_function = table->function_count;
    profile->function =
        text_pool_take(&proto->pool, table->function_count * sizeof(Pprof__Function *));
    for (size_t i = 0; i < table->function_count; i++) {
        Pprof__Function *made = text_pool_take(&proto->pool, sizeof *made);
        pprof__function__init(made);
        made->id = i + 1;
        made->name = string_id(proto, table->functions[i]->full);
        made->system_name = made->name;
        made->filename = string_id(proto, table->functions[i]->file);
        profile->function[i] = made;
    }
}

static Pprof__Line *make_line(struct proto *proto, const struct view_frame *frame)
{
    Pprof__Line *line = text_pool_take(&proto->pool, sizeof *line);
    pprof__line__init(line);
    line->function_id = proto->table.rows[frame->row].function + 1;
    line->line = frame->line;
    return line;
}

/* A location for each address: the id is 1 + its index. Frames that no stack has are left out. */
static void add_locations(struct proto *proto)
{
    Pprof__Profile *profile = &proto->profile;
    const struct view *view = proto->export->view;
    profile->location =
        text_pool_take(&proto->pool, view->address_count * sizeof(Pprof__Location *));
    for (size_t i = 0; i < view->address_count; i++) {
        const struct view_address *address = &view->addresses[i];
        Pprof__Location *made = text_pool_take(&proto->pool, sizeof *made);
        pprof__location__init(made);
        made->id = i + 1;
        made->mapping_id = mapping_id(proto, address);
        made->address = address->address;
        made->line = text_pool_take(&proto->pool, address->frame_count * sizeof(Pprof__Line *));
        for (size_t frame = 0; frame < address->frame_count; frame++) {
            if (address->frames[frame].row != SIZE_MAX) {
                made->line[made->n_line++] = make_line(proto, &address->frames[frame]);
            }
        }
        if (made->n_line > 0) {
            profile->location[profile->n_location++] = made;
        }
    }
}

static const char *thread_name(const struct profile *profile, uint64_t thread)
{
    for (size_t i = 0; i < profile->thread_count; i++) {
        if (profile->threads[i].id == thread) {
            return profile->threads[i].name;
        }
    }
    return "";
}

static Pprof__Label *make_label(struct proto *proto, const char *key)
{
    Pprof__Label *label = text_pool_take(&proto->pool, sizeof *label);
    pprof__label__init(label);
    label->key = string_id(proto, key);
    return label;
}

static void add_labels(struct proto *proto, Pprof__Sample *sample, uint64_t thread)
{
    char text[32];
    const char *name = thread_name(proto->export->profile, thread);
    sample->label = text_pool_take(&proto->pool, 2 * sizeof(Pprof__Label *));
    sample->label[0] = make_label(proto, "thread");
    snprintf(text, sizeof text, "t%" PRIu64, thread);
    sample->label[0]->str = string_id(proto, text); /* pprof loses the number 0 */
    sample->n_label = 1;
    if (name[0] != '\0') {
        sample->label[1] = make_label(proto, "thread_name");
        sample->label[1]->str = string_id(proto, name);
        sample->n_label = 2;
    }
}

/* The addresses of a stack: frames of one address follow each other as they lie in it. */
static void add_stack(struct proto *proto, Pprof__Sample *sample, const struct view_stack *stack)
{
    const struct view_frame *before = NULL;
    sample->location_id = text_pool_take(&proto->pool, stack->depth * sizeof(uint64_t));
    for (size_t i = 0; i < stack->depth; i++) {
        const struct view_frame *frame = stack->frames[i];
        if (before == NULL || frame->address != before->address || frame <= before) {
            sample->location_id[sample->n_location_id++] =
                1 + view_address_index(proto->export->view, stack->sample->source, frame->address);
        }
        before = frame;
    }
}

/* Adds the counts as whole numbers, so that sums stay right; without any there is no sample. */
static void add_sample(struct proto *proto, const struct view_stack *stack,
                       const double counts[MEASURES], uint64_t thread)
{
    Pprof__Profile *profile = &proto->profile;
    int64_t *values = text_pool_take(&proto->pool, MEASURES * sizeof *values);
    bool is_any = false;
    for (size_t i = 0; i < MEASURES; i++) {
        proto->wanted[i] += counts[sample_types[i]];
        values[i] = export_whole(proto->wanted[i]) - proto->written[i];
        proto->written[i] += values[i];
        is_any = is_any || values[i] != 0;
    }
    if (!is_any) {
        return;
    }
    Pprof__Sample *sample = text_pool_take(&proto->pool, sizeof *sample);
    pprof__sample__init(sample);
    sample->value = values;
    sample->n_value = MEASURES;
    add_stack(proto, sample, stack);
    if (thread != PROFILE_ALL_THREADS) {
        add_labels(proto, sample, thread);
    }
    if (profile->n_sample == proto->sample_room) {
        proto->sample_room = proto->sample_room > 0 ? 2 * proto->sample_room : 64;
        profile->sample =
            memory_resize(profile->sample, proto->sample_room, sizeof(Pprof__Sample *));
    }
    profile->sample[profile->n_sample++] = sample;
}

/* By stack, the line of all threads last. */
static int compare_stacks(const void *left, const void *right)
{
    const struct profile_sample *a = (*(const struct view_stack *const *)left)->sample;
    const struct profile_sample *b = (*(const struct view_stack *const *)right)->sample;
    int order = (a->source > b->source) - (a->source < b->source);
    if (order == 0) {
        order = (a->depth > b->depth) - (a->depth < b->depth);
    }
    for (size_t i = 0; order == 0 && i < a->depth; i++) {
        order = (a->stack[i] > b->stack[i]) - (a->stack[i] < b->stack[i]);
    }
    return order != 0 ? order : (a->thread > b->thread) - (a->thread < b->thread);
}

/* What a stack counts, and what of it no thread has. */
struct shares {
    double whole[MEASURES], rest[MEASURES];
};

static struct shares share_stack(const struct export *export,
                                 const struct view_stack *const *stacks, size_t count)
{
    struct shares shares = {{0}, {0}};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < MEASURES; j++) {
            double value = export_count(export, stacks[i], (enum view_measure)j);
            bool is_whole = stacks[i]->sample->thread == PROFILE_ALL_THREADS;
            shares.whole[j] += is_whole ? value : 0;
            shares.rest[j] += is_whole ? value : -value;
        }
    }
    return shares;
}

/* Dumps round each line for itself, so threads miss their stack by a little: 87 of 200,000 bytes
 * were seen. */
static bool is_rounding(const struct shares *shares)
{
    for (size_t i = 0; i < MEASURES; i++) {
        if (fabs(shares->rest[i]) > 0.5 + fabs(shares->whole[i]) / 100) {
            return false;
        }
    }
    return true;
}

/* Adds the threads of one stack, and what its line of all threads has beyond them, which goes to
 * the last thread when it is none's. */
static void add_threads(struct proto *proto, const struct view_stack *const *stacks, size_t count)
{
    bool has_whole = stacks[count - 1]->sample->thread == PROFILE_ALL_THREADS;
    size_t threads = has_whole ? count - 1 : count;
    struct shares shares = share_stack(proto->export, stacks, count);
    bool is_none = has_whole && threads > 0 && is_rounding(&shares);
    for (size_t i = 0; i < threads; i++) {
        double counts[MEASURES];
        for (size_t j = 0; j < MEASURES; j++) {
            counts[j] = export_count(proto->export, stacks[i], (enum view_measure)j) +
                        (is_none && i + 1 == threads ? shares.rest[j] : 0);
        }
        add_sample(proto, stacks[i], counts, stacks[i]->sample->thread);
    }
    if (has_whole && !is_none) {
        add_sample(proto, stacks[count - 1], shares.rest, PROFILE_ALL_THREADS);
    }
}

static bool is_same_stack(const struct view_stack *a, const struct view_stack *b)
{
    return a->sample->source == b->sample->source && a->sample->depth == b->sample->depth &&
           memcmp(a->sample->stack, b->sample->stack,
                  a->sample->depth * sizeof *a->sample->stack) == 0;
}

static void add_samples(struct proto *proto)
{
    const struct view *view = proto->export->view;
    const struct view_stack **stacks = memory_take(view->stack_count, sizeof(struct view_stack *));
    size_t end;
    for (size_t i = 0; i < view->stack_count; i++) {
        stacks[i] = &view->stacks[i];
    }
    if (view->stack_count > 0) {
        qsort((void *)stacks, view->stack_count, sizeof *stacks, compare_stacks);
    }
    for (size_t first = 0; first < view->stack_count; first = end) {
        end = first + 1;
        while (end < view->stack_count && is_same_stack(stacks[first], stacks[end])) {
            end++;
        }
        add_threads(proto, stacks + first, end - first);
    }
    free((void *)stacks);
}

/* Compresses into a file; windowBits 15 + 16 asks zlib for a gzip header. */
static void write_compressed(FILE *out, uint8_t *bytes, size_t size)
{
    unsigned char block[1 << 16];
    z_stream stream = {.next_in = bytes};
    int result = Z_OK;
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        fprintf(stderr, "jeprof: out of memory\n");
        exit(EXIT_FAILURE);
    }
    while (result != Z_STREAM_END) {
        size_t left = size - (size_t)(stream.next_in - bytes);
        stream.avail_in = left < UINT32_MAX ? (uInt)left : UINT32_MAX; /* a part at a time */
        stream.next_out = block;
        stream.avail_out = sizeof block;
        result = deflate(&stream, stream.avail_in == left ? Z_FINISH : Z_NO_FLUSH);
        fwrite(block, 1, sizeof block - stream.avail_out, out);
    }
    deflateEnd(&stream);
}

size_t report_proto(FILE *out, const struct export *export)
{
    struct proto proto = {.export = export};
    pprof__profile__init(&proto.profile);
    frame_rows_open(&proto.table, export->view, FRAME_LINES);
    string_id(&proto, "");
    add_types(&proto);
    add_mappings(&proto);
    add_functions(&proto);
    add_locations(&proto);
    add_samples(&proto);
    size_t size = pprof__profile__get_packed_size(&proto.profile);
    uint8_t *bytes = memory_take(size, 1);
    pprof__profile__pack(&proto.profile, bytes);
    write_compressed(out, bytes, size);
    size_t written = proto.profile.n_sample;
    free(bytes);
    free(proto.profile.sample);
    free(proto.profile.string_table);
    free(proto.mappings);
    text_map_close(&proto.string_ids);
    text_pool_close(&proto.pool);
    frame_rows_close(&proto.table);
    return written;
}
