/* What the C files of the glue share: perl's headers and casts. Not seen by bindgen. */
#ifndef CAMELPOST_GLUE_PERL_H
#define CAMELPOST_GLUE_PERL_H

#define PERL_NO_GET_CONTEXT
#include <EXTERN.h>
#include <perl.h>
#include <XSUB.h>

#include "glue.h"

#if !PERL_VERSION_GE(5, 36, 0)
#error "Camelpost needs perl 5.36 or newer"
#endif
#ifdef PERL_RC_STACK
#error "Camelpost's own operations (glue_watch_ops.c and others) do not count the references on perl's stack: this perl was built with PERL_RC_STACK"
#endif

extern PerlInterpreter *cp_perl;

/* Perl code is on top: no Rust frame is between it and what is done now. */
extern int cp_in_perl;

/* Something that calls perl API which may die, exit or run Perl code, done where that cannot pass
 * into Rust. Returns an outcome. */
typedef int cp_step(pTHX);
int cp_guard(cp_step *step);

/* Whether a hash's element was made by cp_bind_session_key. */
int cp_is_session_key(SV *sv);

/* An object's keys wait no longer. */
void cp_look_into(pTHX_ SV *hash);

/* What a state held goes with it, where that can be. */
void cp_release_held(pTHX);
/* Of magic with data that belong to one interpreter. */
int cp_dup_without_data(pTHX_ MAGIC *mg, CLONE_PARAMS *params);

/* The entry of a key from cp_new_key, where it is found without asking perl; NULL says nothing. */
HE *cp_find_entry(HV *hash, SV *key);

/* Changes when a method of the class, or of one that it inherits from, may have changed. */
uint64_t cp_generation(pTHX_ HV *stash);

/* Gives a plugin object the keys that it has for the time of a hook, until the present scope is
 * left; and whether a key is one of them. */
void cp_localize(pTHX_ HV *plugin, SV *qp, SV *hook);
int cp_is_local_key(HEK *key);
void cp_make_local_keys(pTHX_ HV *plugin);

/* Containers that were made. */
typedef struct {
    SV **list;
    size_t count, room;
} cp_made;

/* An array or hash that is neither blessed nor tied. */
int cp_is_plain_container(SV *sv);
void cp_made_add(cp_made *made, SV *container);
/* When `owner` is freed, what is left of these that only cycles among them keep goes, too. */
void cp_free_cycles_with(pTHX_ SV *owner, const cp_made *made);

/* In a child that a plugin has forked: its end is that of any perl. */
void cp_ends_in_child(pTHX);

/* From then on, code that is compiled tells of what it does to watched containers. */
void cp_watch_ops(void);

/* Exchanges the contents of two hashes. */
void cp_swap_hashes(pTHX_ HV *a, HV *b);

/* POSIX::sigaction would have a handler run wherever the signal comes, in the middle of Rust code, too: what it
 * sets up waits for the end of the operation like any handler in %SIG. */
void cp_defer_signals(void);

/* From then on, code that is compiled finds the host's modules. */
void cp_watch_require(void);

/* From then on, code that is compiled says when it sets an alarm. */
void cp_watch_alarm(void);

/* What goes through the handle goes through the session's TLS from now on, where it has any. */
void cp_carry_client(pTHX_ PerlIO *handle);
/* The same for sysread and syswrite in code that is compiled from then on. */
void cp_secure_ops(void);
/* Whether it is the handle on the client with which a session begins. */
int cp_is_client(const IO *io);

/* From then on, code that is compiled can be seen to store files. */
void cp_watch_storing(void);

/* From then on, code that is compiled finds that numbers of sessions are somebody's. */
void cp_watch_kill(void);

/* This process was forked: `$$` is not yet assigned in it. */
void cp_forget_pid(void);

/*
 * Taint mode. perl knows of an expression that something in it is tainted (PL_tainted), and of a value by magic.
 * Of Rust it knows nothing: what it makes of a value is untainted unless it says otherwise (cp_taint). So an
 * expression's taint is put aside where Rust is called, and what Rust makes never begins with it.
 */
#define CP_NEW_VALUE TAINT_NOT

/* A value's taint, without a look at what else magic says of it; also while that is asked, when perl has its
 * flags put aside. */
static inline int cp_has_taint(pTHX_ SV *sv) {
    return TAINTING_get && SvTYPE(sv) >= SVt_PVMG && SvMAGIC(sv) && sv_tainted(sv);
}

/* A value that got another's contents without its magic has its taint, too, or none. */
static inline void cp_take_taint(pTHX_ SV *to, SV *from) {
    if (!TAINTING_get)
        return;
    if (cp_has_taint(aTHX_ from))
        SvTAINTED_on(to);
    else
        SvTAINTED_off(to);
}

/* A copy without what magic would say if it were asked, but with its taint. */
SV *cp_copy_value(pTHX_ SV *sv);

/* That a value is tainted, or was, is all that its magic has to say. */
int cp_is_only_tainted(SV *sv);

#define SV(value) ((SV *)(value))
#define CP(value) ((cp_sv *)(value))

#endif
