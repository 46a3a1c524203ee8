/*
 * What Rust may ask of the embedded interpreter. Opaque pointers only, so that the bindings do
 * not depend on the version of perl.
 *
 * Rule: only C calls perl API that may die or exit, and always behind cp_call or cp_guarded.
 * Functions without a result code can neither die nor run Perl code.
 */
#ifndef CAMELPOST_GLUE_H
#define CAMELPOST_GLUE_H

#include <stddef.h>
#include <stdint.h>

typedef struct cp_sv cp_sv; /* an SV of any type */

/* How a call into Perl ended. */
enum cp_outcome {
    CP_OK = 0,
    CP_DIED = 1,   /* result.error holds $@ */
    CP_EXITED = 2, /* exit was called: every Perl frame is gone, go back to the outermost call */
};

/* How an XSUB body in Rust ended. */
enum cp_xs_status { CP_XS_OK = 0, CP_XS_CROAK = 1, CP_XS_EXIT = 2 };

/* What a scalar holds. */
enum cp_kind {
    CP_UNDEF = 0,
    CP_INT,
    CP_NUM,
    CP_BYTES,
    CP_TEXT,  /* UTF-8 flag set */
    CP_REF,   /* a reference of any kind */
    CP_OTHER, /* a glob, or a scalar that is several things at once */
};

/* Types of references. */
enum cp_ref { CP_REF_NONE = 0, CP_REF_CODE, CP_REF_ARRAY, CP_REF_HASH, CP_REF_OTHER };

enum cp_want { CP_VOID = 0, CP_SCALAR, CP_LIST };

#define CP_INLINE 8

typedef struct {
    cp_sv *error;             /* owned by the caller when CP_DIED */
    cp_sv *few[CP_INLINE];    /* the first results, owned by the caller */
    cp_sv **values;           /* all results: few, or an allocated array */
    size_t count;
    int exit_status;          /* when CP_EXITED */
} cp_result;

/* The arguments and results of a running XSUB. */
typedef struct {
    cp_sv **args;
    size_t count;
    int want;       /* enum cp_want */
    cp_sv *error;   /* set before CP_XS_CROAK */
    cp_sv *few[CP_INLINE];
    size_t returned;
    cp_sv *more;    /* an array for results beyond CP_INLINE */
} cp_frame;

/* ---- life ---- */

/* Builds the interpreter and runs its program; argv as perl's command line. Returns 0, or perl's
 * exit status. */
int cp_start(int argc, char **argv);
/* Tries what the C side takes for granted of perl's insides: whether all holds; else `says` is the first that does
 * not. */
int cp_check(char *says, size_t room);
/* Runs END blocks and destroys the interpreter. */
int cp_stop(void);
/* How many SVs are alive. */
size_t cp_count_values(void);
/* In a forked worker: this process is the owner of the interpreter from now on. */
void cp_adopt(void);
/* What the last exit of Perl code asked for. */
int cp_exit_status(void);
/* Whether this process is a child that Perl code has forked. */
int cp_is_stray_child(void);
/* Starts perl's generators of random numbers anew. */
void cp_reseed(uint32_t seed);

/* ---- calls ---- */

int cp_call(cp_sv *code, cp_sv **args, size_t count, int want, cp_result *result);
/* The same for what no plugin has asked for: it changes no $@. */
int cp_call_aside(cp_sv *code, cp_sv **args, size_t count, int want, cp_result *result);
int cp_call_method(const char *name, cp_sv **args, size_t count, int want, cp_result *result);
/* eval of a text. */
int cp_eval(const char *text, size_t length, int want, cp_result *result);
/* Calls a plugin's method as a hook: what register_hook's closure does, without its cost. The
 * first argument is the qp object, which the plugin has as {_qp} for the time of the call, as it
 * has the hook's name as {_hook}. `method` is a name or a code reference. With `number`, only
 * the returned code counts, as in cp_call_for_code. */
int cp_call_hook(cp_sv *plugin, cp_sv *method, cp_sv *hook, cp_sv **args, size_t count,
                 int64_t *number, cp_result *result);
/* Calls a hook of which only the returned code counts: its number, or -1 where it returned
 * nothing or undef. */
int cp_call_for_code(cp_sv *code, cp_sv **args, size_t count, int64_t *number, cp_result *result);
/* Frees the result array (not the values in it). */
void cp_free_result(cp_result *result);
/* Gives up references; what runs in DESTROY may exit. */
int cp_drop(cp_sv **values, size_t count);

/* The variable $Qpsmtpd::hooks as it is now; not owned. */
cp_sv *cp_hooks(void);
/* The list of a hook in that table; not owned, null where there is none. */
cp_sv *cp_hook_list(cp_sv *key);

/* ---- process state of a session ---- */

/* Notes %ENV, %SIG, $/ $\ $, $0, %{^HOOK}, the selected handle, the table of hooks and the signal mask as
 * they are now. */
void cp_note_state(void);
/* Whether any of them is another than was noted; the variables in %ENV that each session sets
 * are not looked at. */
int cp_state_differs(void);
/* The signal mask, and the signals that are the host's, as they were noted. */
void cp_restore_signals(void);
/* Cancels an alarm that Perl code has set and left. */
void cp_end_alarm(void);
/* Sets a variable of the environment, in %ENV too. For a few names that are set again and again:
 * what perl allocates for an assignment to %ENV is never freed. */
void cp_set_variable(const char *name, const char *value, size_t length, int tainted);
/* `$$` is this number from now on, in this process alone; 0: the process's id. */
void cp_set_pid_variable(uint32_t number);

/* Camelpost::_warned has what perl warns of, unless a plugin has said who is to. */
void cp_take_warnings(void);

/* ---- XSUBs ---- */

/* Defines NAME as an XSUB that calls camelpost_xs(index, frame). */
void cp_define(const char *name, int32_t index, const char *prototype);
/* A new anonymous XSUB reference with this index. */
cp_sv *cp_anonymous_xsub(int32_t index);
/* The index of an XSUB made by either, or -1. */
int32_t cp_xsub_index(cp_sv *code);
/* Adds a result to a frame; takes over the caller's reference. */
void cp_return(cp_frame *frame, cp_sv *value);

/* ---- scalars ---- */

cp_sv *cp_undef(void);
cp_sv *cp_new_bytes(const char *bytes, size_t length, int utf8);
cp_sv *cp_new_int(int64_t n);
cp_sv *cp_new_num(double n);
cp_sv *cp_copy(cp_sv *value);
/* Marks a value as tainted, if perl runs in taint mode; whether one is. */
void cp_taint(cp_sv *value);
int cp_is_tainted(cp_sv *value);
cp_sv *cp_share(cp_sv *value); /* increments the count */
/* Takes a reference back where that runs no Perl code; else 0, and nothing is done. */
int cp_let_go(cp_sv *value);
int cp_kind(cp_sv *value);
int cp_ref_type(cp_sv *value);
int cp_is_defined(cp_sv *value);
int64_t cp_int(cp_sv *value);
double cp_num(cp_sv *value);
/* The bytes of a scalar that is no reference. Valid while the scalar is not changed. */
const char *cp_bytes(cp_sv *value, size_t *length);
cp_sv *cp_referent(cp_sv *reference); /* not owned */
cp_sv *cp_new_ref(cp_sv *value);      /* a new reference; shares value */

/* ---- arrays and hashes (plain ones) ---- */

cp_sv *cp_new_array(void);
cp_sv *cp_new_hash(void);
int cp_is_plain_hash(cp_sv *hash); /* neither tied nor restricted */
size_t cp_array_length(cp_sv *array);
cp_sv *cp_array_get(cp_sv *array, size_t index); /* not owned, may be null */
/* Neither tied nor read-only: any other takes no values from here. */
int cp_is_plain_array(cp_sv *array);
void cp_array_push(cp_sv *array, cp_sv *value);  /* takes over */
void cp_array_unshift(cp_sv *array, cp_sv *value);
cp_sv *cp_hash_get(cp_sv *hash, const char *key, size_t length);      /* not owned */
/* A key that is asked for again and again: a text that perl shares. */
cp_sv *cp_new_key(const char *bytes, size_t length);
/* The same of a value, where it is a text; else a copy of it. */
cp_sv *cp_copy_as_key(cp_sv *value);
cp_sv *cp_hash_find(cp_sv *hash, cp_sv *key); /* as cp_hash_get, with a key from cp_new_key */
void cp_hash_set(cp_sv *hash, const char *key, size_t length, cp_sv *value); /* takes over */
cp_sv *cp_global_scalar(const char *name);
/* A variable's place in the symbol table, not owned; and what it holds there now, or null. */
cp_sv *cp_glob(const char *name);
cp_sv *cp_glob_scalar(cp_sv *glob);
cp_sv *cp_code(const char *name); /* not owned, null if undefined */

/* ---- objects that own Rust state ---- */

/* A new object of a class (its name, or null to take it from class_sv) that owns data. */
cp_sv *cp_new_object(const char *class_name, cp_sv *class_sv, uint16_t kind, void *data);
/* The data of an object of this kind, or null. */
void *cp_object_data(cp_sv *object, uint16_t kind);
/* Makes an existing hash object own data, too. 0 where it is no plain hash. */
int cp_attach(cp_sv *object, uint16_t kind, void *data);
/* Puts an object into a class. */
void cp_bless(cp_sv *reference, const char *class_name);
/* Kinds are below this. */
#define CP_KINDS 8
/* Makes {key} of each object of a kind read and write through camelpost_key_get/set with this index, which
 * get the object's data. Each element owns a count of it and gives that back to camelpost_key_free. */
void cp_add_key(uint16_t kind, const char *key, size_t length, int32_t index);
/* Gives a new object its kind's keys: at once, or when somebody looks. An object that may wait is the one that
 * camelpost_key_now means until cp_not_shown is called for it. */
void cp_bind_keys(cp_sv *object, uint16_t kind, int may_wait);
/* Before a reference is let go through which the session's present object was found. */
void cp_not_shown(cp_sv *reference);

/* Makes object{key} such a key with data of its own. A copy of the object's contents has the same element,
 * and what a look has left in the element is kept no longer than to the next cp_forget_looks. */
void cp_bind_session_key(cp_sv *object, const char *key, size_t length, int32_t index, void *data);

/* Whether looks at such keys have left values in them. */
int cp_looked(void);
/* Gives those values up; what runs in DESTROY may exit. */
int cp_forget_looks(void);
/* The same for the elements of keys that wait, where nobody walks over them. */
int cp_walked(void);
int cp_forget_walks(void);

/* ---- classes ---- */

/* A number that changes when a method of the object's class, or of one that it inherits from, may
 * have changed, and the class's identity. 0 for what is no object. */
uint64_t cp_class_generation(cp_sv *object, uintptr_t *class_id);
/* The code of a method of an object or of a class by its name, or null; not owned. */
cp_sv *cp_find_method(cp_sv *invocant, const char *name, size_t length);
/* Whether an object, or a class by its name, inherits from a class. */
int cp_isa(cp_sv *invocant, const char *class_name);
/* Whether the object's method of this name is one of the host's XSUBs. */
int cp_has_host_method(cp_sv *object, const char *name);

/* How a plugin's line goes to the log. */
enum cp_log { CP_LOG_BY_METHODS = 0, CP_LOG_NOT, CP_LOG_PLAIN };

typedef struct {
    cp_sv *hook; /* null: undef */
    cp_sv *name;
    cp_sv *qp;
} cp_log_fact;

/* Whether a plugin's line can go to the log at once: where it can, the facts, which stay the
 * plugin's. CP_LOG_NOT: from within a logging hook. */
int cp_log_facts(cp_sv *plugin, cp_log_fact *facts);
/* What a plugin's method `qp` answers, where that is the base class's; else null. Not owned. */
cp_sv *cp_plugin_qp(cp_sv *plugin);
/* The bytes of a scalar that is a text and nothing else, or null. */
const char *cp_plain_text(cp_sv *value, size_t *length);

/* Puts a sub at the front of @INC. */
void cp_include_first(cp_sv *code);

/* ---- copies ---- */

/* A deep copy of the contents of a hash object, in a new plain hash: plain arrays and hashes
 * are copied, all else is shared; containers with more than `limit` elements are shared and
 * counted in *shared. */
cp_sv *cp_copy_contents(cp_sv *object, size_t limit, size_t *shared);

/* ---- the exchange: what a plugin keeps is the session's ---- */

/* Why a variable's contents cannot be exchanged. */
enum cp_unfit { CP_UNFIT_TIED = 1, CP_UNFIT_MAGICAL = 2, CP_UNFIT_TOO_LARGE = 3, CP_UNFIT_CODE = 4 };

/* What belongs to the site: a file that was compiled, a package, a directory of modules. The owner is
 * a plugin's number; 0: none. */
void cp_site_file(const char *file, size_t length, uint16_t owner);
void cp_site_package(const char *name, size_t length, uint16_t owner);
void cp_site_dir(const char *dir, size_t length);
/* Modules that were loaded from those directories and are not known yet are the owner's. */
void cp_site_modules(uint16_t owner);

/* Finds variables: of an object and what it leads to; of a package (`keeps`: they stay the worker's,
 * and so what they lead to); of one of the host's own packages; of the site's files, wherever they are. */
void cp_find_object(cp_sv *object, uint16_t owner);
void cp_find_package(const char *name, size_t length, uint16_t owner, int keeps);
void cp_find_variables_of(const char *package);
void cp_find_by_files(void);
/* What a sub or closure of the site's has captured. */
void cp_find_code(cp_sv *code, uint16_t owner);
/* What the package holds now is what each session begins with. */
void cp_note_package(const char *name, size_t length);
/* What this refers to is nothing to be exchanged. */
void cp_find_nothing_in(cp_sv *reference);
/* Nothing was found yet. */
void cp_find_anew(void);
/* An array of [owner, reason, name, package] for what was found unfit since the last time, the caller's; null:
 * nothing. */
cp_sv *cp_unfit(void);
/* From then on modules that code loads are looked at when they are loaded. */
void cp_watch_modules(void);

/* What was found holds now what each session begins with. */
void cp_exchange_note(void);
/* What was found and is noted only now, from a number on. */
void cp_exchange_note_from(size_t first);
size_t cp_exchange_size(void);

/* What a session has made of the contents. */
typedef struct cp_aside cp_aside;
/* Takes it: everything is as it was noted. Null: it has changed nothing. */
cp_aside *cp_exchange_take(void);
/* Puts it in its place again, and frees it; what runs in DESTROY may exit: an outcome. */
int cp_exchange_put(cp_aside *aside);
/* One after the other, the values in it, owned by the caller; null: that was all, and it is freed. */
cp_sv *cp_aside_give_up(cp_aside *aside);
/* A session begins: what was changed outside of sessions is nobody's. */
int cp_exchange_begin(void);
/* The session is over: its objects go, and everything is as it was noted. */
int cp_exchange_end(void);

/* The END blocks of the site's code, and DESTROY of the plugins' objects, are run at the end of each
 * session from then on, not at the end of the process. */
void cp_take_ends(void);
/* The plugins' objects; taken over. */
void cp_ends_of(cp_sv *objects);
/* Runs them; what they died of, as an array of texts, is the caller's. */
int cp_run_ends(cp_sv **died);
/* What goes from now on goes without its DESTROY; 0: as always. */
void cp_without_destroy(int on);

/* ---- the client on STDIN and STDOUT ---- */

/* Makes *STDIN, *STDOUT and *STDERR fresh handles on descriptors 0, 1 and 2. What a plugin has put in their
 * place is released, which may exit: an outcome. */
int cp_fresh_stdio(void);
/* The same for *STDERR alone. */
int cp_fresh_stderr(void);
/* Whether a plugin has closed one of the three. */
int cp_stdio_closed(void);
/* Whether a plugin has put another handle in the place of *STDIN or *STDOUT. */
/* The handle in the place of STDIN (0) or STDOUT (1): a new reference, or null. */
cp_sv *cp_stdio_in_place(int fd);
/* Puts two such handles in their places again. */
int cp_stdio_put(cp_sv *in, cp_sv *out);
int cp_stdio_taken(void);
/* Whether what goes through *STDIN and *STDOUT goes through camelpost_client_read and _write. */
void cp_client_is_secured(int is);
/* Puts bytes before what STDIN will read. */
int cp_stdin_unread(const char *bytes, size_t length);
/* Takes the bytes that STDIN has read ahead: returns their number, up to size. */
size_t cp_stdin_take(char *bytes, size_t size);
/* Whether the client's handle has not been closed. */
int cp_stdin_is_open(void);
/* Flushes STDOUT; 0 if that failed. */
int cp_stdout_flush(void);
/* The same for all handles. */
int cp_flush_all(void);
/* A new handle (glob reference) on a duplicate of a descriptor, or null. */
cp_sv *cp_new_handle(int fd, const char *mode);

/* ---- called by C, written in Rust ---- */

/* Defines the XSUBs, before the program's text is compiled. */
void camelpost_boot(void);
/* The number of bytes, or an errno with a minus. */
ptrdiff_t camelpost_client_read(char *bytes, size_t size);
ptrdiff_t camelpost_client_write(const char *bytes, size_t length);
int camelpost_xs(int32_t index, cp_frame *frame);
void camelpost_free(uint16_t kind, void *data);
/* A value that Rust has dropped and not yet released, or null. */
cp_sv *camelpost_next_dropped(void);
cp_sv *camelpost_key_get(int32_t index, void *data); /* owned by the caller, or null */
/* The same for the session's present object that has such a key. */
cp_sv *camelpost_key_now(int32_t index);
/* One more owner of an object's data. */
void camelpost_share(uint16_t kind, void *data);
void camelpost_key_set(int32_t index, void *data, cp_sv *value);
void camelpost_key_free(int32_t index, void *data);
int camelpost_is_interrupted(void);
/* A long jump has passed over frames of Rust. */
void camelpost_jumped_over(void);
/* One is about to, and this is a test: says where and aborts. */
void camelpost_abort_on_jump(void);
void camelpost_forked(void);

/* The interrupt: see glue_interrupt.c. 0, or -1 with errno set. */
int cp_take_interrupts(int number, int wake_with);
void cp_calm(void);

/* ---- what a plugin stores while it queues a message ---- */

enum cp_stored_kind {
    CP_STORED_FILE = 0,   /* a file that was written or placed */
    CP_STORED_DIRECTORY,  /* a directory that has got an entry */
    CP_STORED_ON,         /* a file or directory whose file system has got more */
    CP_STORED_PLACED,     /* `from` was linked or renamed to `path` */
    CP_STORED_NOT_PLACED, /* `from` could not be */
    CP_STORED_NOT_OPENED, /* a file that was to be written, by the errno */
    CP_STORED_FAILED,     /* what was done with `path` is not known */
};

typedef struct {
    int kind;
    int fd;          /* -1 where there is none */
    int error;       /* the errno of a failure; of a file, that of writing to it */
    int is_placed;   /* link or rename has given it its place */
    char *path;      /* empty for a file that was opened: the descriptor tells */
    char *from;
} cp_stored;

/* Notes are taken between begin and end; these may be nested, and the outermost end gives their number. */
void cp_stored_begin(void);
size_t cp_stored_end(void);
/* A note: valid until all are forgotten, which closes their descriptors. */
const cp_stored *cp_stored_note(size_t at);
void cp_stored_forget(void);

#endif
