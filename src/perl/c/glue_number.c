/*
 * `$$`: the number of the session that Perl code runs for. perl lets it be assigned, and gives a child
 * of a fork its own id all the same. kill with signal 0, by which programs ask whether who has made a
 * lock file is still there, takes such numbers, too.
 */
#include "glue_perl.h"
#include <unistd.h>

/* No process has a number above it (PID_MAX_LIMIT of the kernel). */
#define LARGEST_PID (1 << 22)

static GV *variable;

/* This process, once `$$` was assigned in it. */
static IV assigned_in;

static Perl_ppaddr_t perl_kill;

void cp_set_pid_variable(uint32_t number) {
    dTHXa(cp_perl);
    if (!variable)
        variable = gv_fetchpvs("$", GV_ADD | GV_NOTQUAL, SVt_PV);
    SV *pid = GvSV(variable);
    /* A plugin that has made something else of it may keep that. */
    if (!pid || SvROK(pid) || SvREADONLY(pid))
        return;
    if (assigned_in) {
        sv_setiv(pid, number ? (IV)number : assigned_in);
        return;
    }
    /* Its magic notes in which process that was, where it is not to put the process's id in. */
    assigned_in = getpid();
    sv_setiv(pid, number ? (IV)number : assigned_in);
    mg_set(pid);
}

void cp_forget_pid(void) { assigned_in = 0; }

static int is_zero_signal(SV *signal) {
    if (SvPOK(signal))
        return strEQ(SvPVX(signal), "0") || strEQ(SvPVX(signal), "ZERO") ||
               strEQ(SvPVX(signal), "SIGZERO");
    return SvIOK(signal) && !SvIVX(signal);
}

static int is_session(pTHX_ SV *target) {
    if (SvROK(target) || (SvGMAGICAL(target) && mg_find(target, PERL_MAGIC_tiedscalar)))
        return 0;
    SvGETMAGIC(target);
    if (!SvIOK(target) && !(SvPOK(target) && looks_like_number(target)))
        return 0;
    IV number = SvIV_nomg(target);
    return number > LARGEST_PID && number <= I32_MAX;
}

/* Sessions run in other processes, too, and nothing tells here which of them are open: each counts as
 * one that is, since a lock that is taken for a dead process's is broken. */
static OP *pp_kill_sessions(pTHX) {
    SV **first = PL_stack_base + *PL_markstack_ptr + 1;
    IV found = 0;
    if (first <= PL_stack_sp && is_zero_signal(*first)) {
        SV **kept = first;
        for (SV **target = first + 1; target <= PL_stack_sp; target++) {
            if (is_session(aTHX_ *target))
                found++;
            else
                *++kept = *target;
        }
        PL_stack_sp = kept;
    }
    OP *next = perl_kill(aTHX);
    if (found)
        *PL_stack_sp = sv_2mortal(newSViv(SvIV(*PL_stack_sp) + found));
    return next;
}

void cp_watch_kill(void) {
    if (!perl_kill) {
        perl_kill = PL_ppaddr[OP_KILL];
        PL_ppaddr[OP_KILL] = pp_kill_sessions;
    }
}
