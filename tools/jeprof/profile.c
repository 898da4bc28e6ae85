/* profile.c: reads heap profiles, line by line. See profile.h.
 *
 * A file is a sequence of sections, each with a form of line of its own. Lines are slices of the
 * text: nothing is terminated, so a NUL is a character like any other, that fits no form.
 */
#include "profile.h"

#include "profile_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* heap/PERIOD counts with half its number, heap without a number with this one. */
    DEFAULT_PERIOD = 131072,
    QUOTED_MAX = 40, /* characters of a line that an error shows */
};

enum section {
    SECTION_START,    /* a header must come */
    SECTION_STACKS,   /* heap_v2: "@ ..." and the counts of its threads */
    SECTION_ENTRIES,  /* older text: counts and stack in one line */
    SECTION_MAPPINGS, /* lines of /proc/PID/maps */
    SECTION_SYMBOLS,  /* addresses and names */
    SECTION_PLACES,   /* addresses and source lines */
    SECTION_IDS,      /* build ids of mapped files */
    SECTION_SKIPPED,  /* one that is unknown */
};

struct reader {
    struct profile *profile;
    struct profile_error *error;
    const char *name;
    unsigned long line_number;
    enum section section;
    bool has_header;
    struct profile_sample stack; /* the stack that counts belong to; depth 0: none yet */
    bool stack_has_counts;
    uint64_t *addresses;
    size_t address_room, sample_room, thread_room, mapping_room, symbol_room, place_room;
};

/* Makes room for one more element; blocks double. */
static void *with_room(void *block, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return block;
    }
    *room = *room > 0 ? 2 * *room : 64;
    return memory_resize(block, *room, size);
}

static bool refuse(struct reader *reader, const struct line *line, const char *wrong,
                   const char *right)
{
    char quoted[QUOTED_MAX + 1];
    line_quote(line, quoted, sizeof quoted);
    snprintf(reader->error->text, sizeof reader->error->text, "%.200s:%lu: %s: \"%s\" (%s)",
             reader->name, reader->line_number, wrong, quoted, right);
    return false;
}

static struct profile_source *source_of(struct reader *reader)
{
    return &reader->profile->sources[0];
}

static const char *keep_slice(struct reader *reader, struct line slice)
{
    char *text = text_pool_take(&reader->profile->pool, line_length(&slice) + 1);
    memcpy(text, slice.at, line_length(&slice));
    text[line_length(&slice)] = '\0';
    return text;
}

static void add_sample(struct reader *reader, uint64_t thread, struct profile_counts counts)
{
    struct profile *profile = reader->profile;
    profile->samples = with_room(profile->samples, profile->sample_count, &reader->sample_room,
                                 sizeof *profile->samples);
    struct profile_sample sample = reader->stack;
    sample.thread = thread;
    sample.counts = counts;
    profile->samples[profile->sample_count++] = sample;
}

/* Threads stand in the head of the file once each, and a thread without one is not worth a name. */
static void add_thread(struct reader *reader, uint64_t id, struct line name)
{
    struct profile *profile = reader->profile;
    profile->threads = with_room(profile->threads, profile->thread_count, &reader->thread_room,
                                 sizeof *profile->threads);
    profile->threads[profile->thread_count++] =
        (struct profile_thread){.id = id, .name = keep_slice(reader, name)};
}

/* "OBJECTS: BYTES [OBJECTS: BYTES]" */
static bool take_counts(struct line *line, struct profile_counts *counts)
{
    uint64_t number[4];
    bool is_right = line_take_number(line, &number[0]) && line_take(line, ":") &&
                    line_take_number(line, &number[1]) && line_take(line, "[") &&
                    line_take_number(line, &number[2]) && line_take(line, ":") &&
                    line_take_number(line, &number[3]) && line_take(line, "]");
    if (is_right) {
        *counts = (struct profile_counts){(double)number[0], (double)number[1], (double)number[2],
                                          (double)number[3]};
    }
    return is_right;
}

/* Addresses up to the end of the line become the reader's stack; at least one. */
static bool take_stack(struct reader *reader, struct line *line)
{
    size_t depth = 0;
    while (!line_is_blank(line)) {
        reader->addresses =
            with_room(reader->addresses, depth, &reader->address_room, sizeof *reader->addresses);
        if (!line_take_address(line, &reader->addresses[depth])) {
            return false;
        }
        depth++;
    }
    if (depth == 0) {
        return false;
    }
    uint64_t *kept = text_pool_take(&reader->profile->pool, depth * sizeof *kept);
    memcpy(kept, reader->addresses, depth * sizeof *kept);
    reader->stack = (struct profile_sample){.stack = kept, .depth = depth};
    return true;
}

/* "heap_v2/PERIOD" */
static bool read_heap_v2(struct reader *reader, struct line line)
{
    struct line rest = line;
    uint64_t period;
    if (!line_take(&rest, "heap_v2/") || !line_take_number(&rest, &period) || period == 0 ||
        !line_is_blank(&rest)) {
        return refuse(reader, &line, "a profile's first line without a period",
                      "heap_v2/BYTES, such as heap_v2/524288");
    }
    reader->profile->kind = PROFILE_HEAP_V2;
    reader->profile->period = period;
    reader->section = SECTION_STACKS;
    reader->has_header = true;
    return true;
}

/* The word behind "@" of the older header, and its period. */
static bool take_kind(struct profile *profile, struct line *line)
{
    struct line word = line_take_word(line, "/");
    uint64_t period = 0;
    bool has_period = line_take(line, "/");
    if (has_period && !line_take_number(line, &period)) {
        return false;
    }
    if (line_is(&word, "heap_v2")) {
        profile->kind = PROFILE_HEAP_V2;
        profile->period = has_period ? period : DEFAULT_PERIOD;
    } else if (line_is(&word, "heap")) {
        profile->kind = PROFILE_HEAP_PERIOD;
        profile->period = has_period ? period / 2 : DEFAULT_PERIOD;
    } else if (line_starts(&word, "growth")) {
        profile->kind = PROFILE_GROWTH;
    } else if (!line_is(&word, "heapprofile")) {
        return false;
    }
    return line_is_blank(line);
}

/* "heap profile: OBJECTS: BYTES [OBJECTS: BYTES] @ KIND/PERIOD" */
static bool read_heap_profile(struct reader *reader, struct line line)
{
    struct line rest = line;
    struct profile_counts totals;
    reader->profile->kind = PROFILE_EXACT;
    bool is_right = line_take(&rest, "heap profile:") && take_counts(&rest, &totals);
    if (is_right && line_take(&rest, "@")) {
        is_right = take_kind(reader->profile, &rest);
    }
    if (!is_right || !line_is_blank(&rest)) {
        return refuse(reader, &line, "a header of another form",
                      "heap profile: 1: 2 [3: 4] @ heap_v2/PERIOD, heap/PERIOD, heapprofile or "
                      "growth");
    }
    reader->section = SECTION_ENTRIES;
    reader->has_header = true;
    return true;
}

static bool read_start(struct reader *reader, struct line line)
{
    if (line_is_blank(&line)) {
        return true;
    }
    if (line_starts(&line, "heap_v2/")) {
        return read_heap_v2(reader, line);
    }
    if (line_starts(&line, "heap profile:")) {
        return read_heap_profile(reader, line);
    }
    return refuse(reader, &line, "this is no heap profile",
                  "its first line is heap_v2/PERIOD or heap profile: ...");
}

/* "t*: COUNTS" or "t7: COUNTS NAME" */
static bool read_thread(struct reader *reader, struct line line)
{
    struct line rest = line;
    uint64_t thread = PROFILE_ALL_THREADS;
    struct profile_counts counts;
    bool is_right = line_take(&rest, "t") &&
                    (line_take(&rest, "*") || line_take_number(&rest, &thread)) &&
                    line_take(&rest, ":") && take_counts(&rest, &counts);
    if (!is_right) {
        return refuse(reader, &line, "a line of counts of another form",
                      "t*: OBJECTS: BYTES [OBJECTS: BYTES]");
    }
    if (reader->stack.depth > 0) {
        add_sample(reader, thread, counts);
        reader->stack_has_counts = true;
    } else if (thread != PROFILE_ALL_THREADS) {
        line_skip_spaces(&rest);
        add_thread(reader, thread, rest);
    }
    return true;
}

static bool check_stack_is_counted(struct reader *reader, struct line line)
{
    if (reader->stack.depth > 0 && !reader->stack_has_counts) {
        return refuse(reader, &line, "the stack above has no counts",
                      "a line t*: ... behind each line @ ...; the file may be cut");
    }
    return true;
}

static bool read_stacks(struct reader *reader, struct line line)
{
    struct line rest = line;
    if (line_is_blank(&line)) {
        return true;
    }
    if (!line_take(&rest, "@")) {
        return read_thread(reader, line);
    }
    if (!check_stack_is_counted(reader, line)) {
        return false;
    }
    if (!take_stack(reader, &rest)) {
        return refuse(reader, &line, "a stack of another form", "@ 0xADDRESS 0xADDRESS ...");
    }
    reader->stack_has_counts = false;
    return true;
}

/* "OBJECTS: BYTES [OBJECTS: BYTES] @ ADDRESS ADDRESS ..." */
static bool read_entry(struct reader *reader, struct line line)
{
    struct line rest = line;
    struct profile_counts counts;
    if (line_is_blank(&line)) {
        return true;
    }
    if (!take_counts(&rest, &counts) || !line_take(&rest, "@") || !take_stack(reader, &rest)) {
        return refuse(reader, &line, "a stack of another form",
                      "OBJECTS: BYTES [OBJECTS: BYTES] @ 0xADDRESS ...");
    }
    add_sample(reader, PROFILE_ALL_THREADS, counts);
    return true;
}

/* "START-END PERMISSIONS OFFSET DEVICE INODE PATH" */
static bool read_mapping(struct reader *reader, struct line line)
{
    struct line rest = line;
    struct mapping mapping = {.path = ""};
    if (line_is_blank(&line)) {
        return true;
    }
    bool is_right = line_take_address(&rest, &mapping.start) && line_take(&rest, "-") &&
                    line_take_address(&rest, &mapping.end) && mapping.start < mapping.end;
    struct line permissions = line_take_word(&rest, "");
    is_right = is_right && line_take_address(&rest, &mapping.offset);
    line_take_word(&rest, ""); /* device */
    struct line inode = line_take_word(&rest, "");
    if (!is_right || line_length(&permissions) != 4 || line_is_blank(&inode)) {
        return refuse(reader, &line, "a mapping of another form",
                      "a line of /proc/PID/maps: START-END r-xp OFFSET DEVICE INODE PATH");
    }
    mapping.is_executable = permissions.at[2] == 'x';
    line_skip_spaces(&rest);
    mapping.path = keep_slice(reader, rest);
    struct profile_source *source = source_of(reader);
    source->mappings = with_room(source->mappings, source->mapping_count, &reader->mapping_room,
                                 sizeof *source->mappings);
    source->mappings[source->mapping_count++] = mapping;
    return true;
}

/* "binary=PATH" or "0xADDRESS NAME" */
static bool read_symbol(struct reader *reader, struct line line)
{
    struct line rest = line;
    struct profile_source *source = source_of(reader);
    struct profile_symbol symbol;
    if (line_is_blank(&line)) {
        return true;
    }
    if (line_take(&rest, "binary=")) {
        source->program = keep_slice(reader, rest);
        return true;
    }
    bool is_right = line_take_address(&rest, &symbol.address) && line_starts(&rest, " ");
    if (!is_right || line_is_blank(&rest)) {
        return refuse(reader, &line, "a symbol of another form", "0xADDRESS NAME");
    }
    line_skip_spaces(&rest);
    symbol.name = keep_slice(reader, rest);
    source->symbols = with_room(source->symbols, source->symbol_count, &reader->symbol_room,
                                sizeof *source->symbols);
    source->symbols[source->symbol_count++] = symbol;
    return true;
}

/* "0xADDRESS", then a tab and "FILE:LINE" for each function */
static bool read_place(struct reader *reader, struct line line)
{
    struct line rest = line;
    struct profile_source *source = source_of(reader);
    struct profile_place place;
    if (line_is_blank(&line)) {
        return true;
    }
    if (!line_take_address(&rest, &place.address) || rest.at == rest.end || *rest.at != '\t') {
        return refuse(reader, &line, "a source line of another form", "0xADDRESS, tab, FILE:LINE");
    }
    rest.at++;
    place.text = keep_slice(reader, rest);
    source->places =
        with_room(source->places, source->place_count, &reader->place_room, sizeof *source->places);
    source->places[source->place_count++] = place;
    return true;
}

/* "START ID PATH", for all mappings of the path */
static bool read_id(struct reader *reader, struct line line)
{
    struct line rest = line;
    struct profile_source *source = source_of(reader);
    uint64_t start;
    if (line_is_blank(&line)) {
        return true;
    }
    bool is_right = line_take_address(&rest, &start);
    line_skip_spaces(&rest);
    struct line id = line_take_word(&rest, "");
    line_skip_spaces(&rest);
    if (!is_right || line_is_blank(&id) || line_is_blank(&rest)) {
        return refuse(reader, &line, "a build id of another form", "START ID PATH");
    }
    const char *kept = keep_slice(reader, id);
    for (size_t i = 0; i < source->mapping_count; i++) {
        if (line_is(&rest, source->mappings[i].path)) {
            source->mappings[i].build_id = kept;
        }
    }
    return true;
}

/* Which section a line "NAME:" begins. */
static enum section section_of(struct reader *reader, const struct line *line)
{
    if (line_is(line, "SOURCE_LINES:")) {
        source_of(reader)->has_places = true;
        return SECTION_PLACES;
    }
    if (line_is(line, "BUILD_IDS:")) {
        return SECTION_IDS;
    }
    return line_is(line, "MAPPED_LIBRARIES:") ? SECTION_MAPPINGS : SECTION_SKIPPED;
}

/* True for a line that begins or ends a section, "--- symbol", "---" or "MAPPED_LIBRARIES:". */
static bool changes_section(struct reader *reader, const struct line *line)
{
    struct line rest = *line;
    if (line_take(&rest, "---")) {
        struct line word = line_take_word(&rest, "");
        bool is_heap = line_is(&word, "heap") || line_is(&word, "growth");
        if (line_is(&word, "symbol")) {
            reader->section = SECTION_SYMBOLS;
            source_of(reader)->has_symbols = true;
        } else if (line_is_blank(&word) || is_heap) {
            reader->section = reader->has_header ? SECTION_SKIPPED : SECTION_START;
        } else {
            reader->section = SECTION_SKIPPED;
        }
        return true;
    }
    if (!reader->has_header || !line_is_section(line)) {
        return false;
    }
    reader->section = section_of(reader, line);
    return true;
}

static bool read_line(struct reader *reader, struct line line)
{
    enum section before = reader->section;
    if (changes_section(reader, &line)) {
        return before != SECTION_STACKS || check_stack_is_counted(reader, line);
    }
    switch (reader->section) {
    case SECTION_START:
        return read_start(reader, line);
    case SECTION_STACKS:
        return read_stacks(reader, line);
    case SECTION_ENTRIES:
        return read_entry(reader, line);
    case SECTION_MAPPINGS:
        return read_mapping(reader, line);
    case SECTION_SYMBOLS:
        return read_symbol(reader, line);
    case SECTION_PLACES:
        return read_place(reader, line);
    case SECTION_IDS:
        return read_id(reader, line);
    case SECTION_SKIPPED:
        break;
    }
    return true;
}

static bool read_lines(struct reader *reader, struct line text)
{
    struct line line = text;
    while (line_next(&text, &line)) {
        reader->line_number++;
        if (text.at == NULL) {
            return refuse(reader, &line, "the last line is cut",
                          "it ends with a newline; the dump may have met a full disk");
        }
        if (!read_line(reader, line)) {
            return false;
        }
    }
    struct line none = {NULL, NULL};
    if (!reader->has_header) {
        return refuse(reader, &none, "no heap profile is in it",
                      "a line heap_v2/PERIOD or heap profile: ...");
    }
    return reader->section != SECTION_STACKS || check_stack_is_counted(reader, none);
}

static int compare_symbols(const void *left, const void *right)
{
    const struct profile_symbol *a = left;
    const struct profile_symbol *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

static int compare_places(const void *left, const void *right)
{
    const struct profile_place *a = left;
    const struct profile_place *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

static int compare_mappings(const void *left, const void *right)
{
    const struct mapping *a = left;
    const struct mapping *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

/* All lists of the source by address, which they mostly are already. */
static void sort_source(struct profile_source *source)
{
    if (source->symbol_count > 0) {
        qsort(source->symbols, source->symbol_count, sizeof *source->symbols, compare_symbols);
    }
    if (source->place_count > 0) {
        qsort(source->places, source->place_count, sizeof *source->places, compare_places);
    }
    if (source->mapping_count > 0) {
        qsort(source->mappings, source->mapping_count, sizeof *source->mappings, compare_mappings);
    }
}

bool profile_parse(struct profile *profile, const char *text, size_t length, const char *name,
                   struct profile_error *error)
{
    *profile = (struct profile){.sources = memory_take(1, sizeof *profile->sources)};
    profile->source_count = 1;
    struct reader reader = {.profile = profile, .error = error, .name = name};
    bool is_read = read_lines(&reader, (struct line){text, text + length});
    free(reader.addresses);
    if (!is_read) {
        profile_close(profile);
        return false;
    }
    sort_source(&profile->sources[0]);
    return true;
}

bool profile_read(struct profile *profile, FILE *file, const char *name,
                  struct profile_error *error)
{
    size_t length = 0;
    size_t room = 0;
    char *text = NULL;
    size_t added;
    do {
        if (length == room) {
            room = room > 0 ? 2 * room : 1 << 16;
            text = memory_resize(text, room, 1);
        }
        added = fread(text + length, 1, room - length, file);
        length += added;
    } while (added > 0);
    bool is_read = ferror(file) == 0;
    if (!is_read) {
        snprintf(error->text, sizeof error->text, "%.200s: cannot be read: %s", name,
                 strerror(errno));
        *profile = (struct profile){.samples = NULL};
    }
    is_read = is_read && profile_parse(profile, text, length, name, error);
    free(text);
    return is_read;
}

bool profile_is_text(const char *start, size_t length)
{
    struct line line = {start, start + length};
    return line_starts(&line, "heap_v2/") || line_starts(&line, "heap profile:") ||
           line_starts(&line, "--- ");
}

const char *profile_symbol(const struct profile *profile, size_t source, uint64_t address)
{
    const struct profile_source *owner = &profile->sources[source];
    struct profile_symbol wanted = {.address = address};
    const struct profile_symbol *found =
        owner->symbol_count == 0
            ? NULL
            : bsearch(&wanted, owner->symbols, owner->symbol_count, sizeof wanted, compare_symbols);
    return found != NULL ? found->name : NULL;
}

const char *profile_place(const struct profile *profile, size_t source, uint64_t address)
{
    const struct profile_source *owner = &profile->sources[source];
    struct profile_place wanted = {.address = address};
    const struct profile_place *found =
        owner->place_count == 0
            ? NULL
            : bsearch(&wanted, owner->places, owner->place_count, sizeof wanted, compare_places);
    return found != NULL ? found->text : NULL;
}

void profile_close(struct profile *profile)
{
    for (size_t i = 0; i < profile->source_count; i++) {
        free(profile->sources[i].mappings);
        free(profile->sources[i].symbols);
        free(profile->sources[i].places);
    }
    free(profile->sources);
    free(profile->samples);
    free(profile->threads);
    text_pool_close(&profile->pool);
    *profile = (struct profile){.samples = NULL};
}
