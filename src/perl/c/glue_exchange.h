/* What the C files of the exchange share: the heads, and what was noted of each. Not seen by bindgen. */
#ifndef CAMELPOST_GLUE_EXCHANGE_H
#define CAMELPOST_GLUE_EXCHANGE_H

#include "glue_perl.h"

/* A variable of a site's code, or something that one leads to. Its identity (the head of the SV) is
 * what code and references hold, and stays; its contents are exchanged from session to session. */
enum cp_head_kind { CP_HEAD_SCALAR, CP_HEAD_ARRAY, CP_HEAD_HASH, CP_HEAD_GLOB, CP_HEAD_STASH };

/* A container with more elements than this is watched, as is what it leads to. */
#define CP_LARGE 64

/* Marks of a head. */
#define CP_WATCHED 1 /* magic tells of changes: not compared unless it did */
#define CP_DIRTY 2   /* it did */
#define CP_SLOW 4    /* flags and pointer of the scalar do not tell all of its value */
#define CP_EMPTY 8   /* it came in a session: what it held before is nothing */
#define CP_WEAK 16   /* a weak reference, as noted */
#define CP_STANDS 32 /* a hash whose iterator stood somewhere: its key and place follow the parts; a glob
                        whose handle was open */
#define CP_TAINTED 64 /* a scalar: as noted */

struct cp_head {
    SV *sv; /* counted */
    U32 flags;     /* as noted: of a scalar; what a hash's order depends on; a stash's generation */
    U32 count;     /* parts of a container */
    void *content; /* as noted: sv_u of a scalar, the size of a hash, the GP of a glob, the keys of a stash */
    union {
        SV *value;    /* a scalar: a copy, NULL: undef */
        void **parts; /* an array: SVs. A hash: keys and SVs in turns. A glob: its scalar, array,
                         hash and handle. A stash: globs and their code in turns. All counted. */
    } as;
    HV *class; /* of an object */
    IV place;  /* of a scalar's match, of an array's iterator; 0: none */
    U16 owner;
    U8 kind, marks;
};

/* All heads: those that were found after the plugins were loaded, and those that came later. */
extern struct cp_head *cp_heads;
extern U32 cp_head_count;

/* A head for an SV, without what is noted of it; its number. */
U32 cp_head_add(pTHX_ SV *sv, int kind, U16 owner);
/* The number of an SV's head plus one; 0: it has none. */
U32 cp_head_of(pTHX_ SV *sv);

/* A handle that is the site's: where it is closed, it is opened again. */
void cp_see_handle(pTHX_ IO *io);
/* Opens the first one from there on that is closed, and says which; 0: there is none. */
int cp_reopen_handle(pTHX_ size_t *from);
void cp_close_handle(pTHX_ size_t which);

/* Looks at a value, which may get a head. With a name it is a variable. */
void cp_see(pTHX_ SV *sv, U16 owner, int watch, const char *sigil, const char *name);
/* Looks at all that what was seen leads to. */
void cp_follow(pTHX);
/* It was looked at, or is not to be. */
int cp_is_known(pTHX_ SV *sv);
void cp_know(pTHX_ SV *sv);
/* What is seen gets no head: it is the worker's. */
extern int cp_keep;
/* The package that is looked at. */
extern const char *cp_package;

/* How often code was called that may be a plugin's. */
extern UV cp_calls;

/* Whether any object has gone since it was asked last. */
int cp_has_destroyed(UV *since);

/* Whether a package is the site's. */
int cp_is_site_class(pTHX_ HV *stash);
void cp_forget_others(pTHX);

/* Notes what the heads from a number on hold now. */
void cp_note_from(pTHX_ U32 first);
void cp_note_head(pTHX_ struct cp_head *head);

/* Whether a head holds what was noted. */
int cp_head_same(pTHX_ struct cp_head *head);

/* Magic that tells when a head that is too large to be compared each time may have been changed. */
void cp_watch_head(pTHX_ struct cp_head *head, U32 number);
void cp_unwatch_head(pTHX_ struct cp_head *head);
/* Whether any hash is watched that is not looked at in other ways. */
extern int cp_small_watched;
/* Of arrays; and what it calls. */
extern const MGVTBL cp_array_vtbl;
int cp_watched_changed(pTHX_ SV *sv, MAGIC *mg);
/* Heads that may have been changed: their number, and which. */
U32 cp_dirty(const U32 **list);
void cp_dirty_clear(void);
/* The heads are others. */
void cp_compare_anew(void);
void cp_mark_dirty(U32 number);

/* Whether a hash's iterator, or an array's, stands somewhere. */
int cp_hash_iterates(HV *hash);
IV *cp_array_iterator(AV *array);

/* The glob at a place in a package; a sub may stand there without one. */
GV *cp_glob_at(pTHX_ HV *stash, HE *entry);
/* A package within a package, which came in a session, gets a head. */
void cp_find_new_package(pTHX_ GV *gv, U16 owner);
/* Something cannot be exchanged: what, by its name. */
void cp_tell_unfit(pTHX_ U16 owner, int why, const char *sigil, const char *name, const char *package);
/* The name of a large variable, or "". */
const char *cp_name_of(pTHX_ SV *sv);

/* A session's contents of a head, in a value of the same kind. */
struct cp_taken {
    U32 head;
    U32 weak; /* the reference in the box is one: strong there, as nothing goes while nobody looks */
    SV *box;
    IV place;
    HV *class;
};

/* The head holds again what was noted; false: there is nothing to be put back. */
int cp_take_head(pTHX_ U32 number, struct cp_taken *taken);
void cp_put_head(pTHX_ const struct cp_taken *taken);
SV *cp_take_glob(pTHX_ struct cp_head *head);
void cp_put_glob(pTHX_ struct cp_head *head, SV *box);
SV *cp_take_stash(pTHX_ U32 number);
void cp_put_stash(pTHX_ HV *stash, SV *box);

/* Magic that does not keep a value from being exchanged. */
int cp_is_ordinary_magic(SV *sv);

/* The parts of a glob that are exchanged by their places. */
#define CP_GLOB_PARTS 4
static inline void cp_glob_parts(GV *gv, SV *parts[CP_GLOB_PARTS]) {
    parts[0] = GvSV(gv);
    parts[1] = (SV *)GvAV(gv);
    parts[2] = (SV *)GvHV(gv);
    parts[3] = (SV *)GvIOp(gv);
}

/* A sub's body is about to go; whether that was in this turn; the turn is over. */
void cp_body_goes(pTHX_ CV *cv);
int cp_has_lost_body(const CV *cv);
void cp_forget_lost(pTHX);

/* Whether code was compiled from the site's files. */
int cp_is_site_code(pTHX_ CV *cv);

/* perl's own classes, with fields. */
#if PERL_VERSION_GE(5, 38, 0)
#define CP_CLASSES
#endif

#ifndef HvHasAUX
#define HvHasAUX(hv) SvOOK(hv)
#endif

#endif
