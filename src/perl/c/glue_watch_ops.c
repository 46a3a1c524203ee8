/*
 * What perl's own operations do without telling anybody: to watched containers hashes that are emptied,
 * iterators, classes, arrays that are ordered in their place (all other operations tell their magic); to
 * packages subs that are undefined; and to objects whose keys wait that somebody looks at them as a whole.
 */
#include "glue_exchange.h"

static void mark(pTHX_ SV *sv) {
    const U32 number = sv && SvTYPE(sv) >= SVt_PVMG && SvMAGIC(sv) ? cp_head_of(aTHX_ sv) : 0;
    if (number && cp_heads[number - 1].marks & CP_WATCHED)
        cp_mark_dirty(number - 1);
}

static Perl_ppaddr_t perl_aassign, perl_undef, perl_each, perl_aeach, perl_bless;

/* `%hash = ()`. What is assigned to lies above the topmost mark. */
static OP *assign(pTHX) {
    if (!cp_small_watched)
        return perl_aassign(aTHX);
    for (SV **left = PL_stack_base + *PL_markstack_ptr + 1; left <= PL_stack_sp; left++)
        if (*left && SvTYPE(*left) == SVt_PVHV && SvSMAGICAL(*left))
            mark(aTHX_ *left);
    return perl_aassign(aTHX);
}

static OP *undefine(pTHX) {
    /* Without an operand on the stack it has none, or a `my` scalar. */
    const int has_operand = PL_op->op_private && !(PL_op->op_private & OPpTARGET_MY);
    SV *sv = has_operand ? *PL_stack_sp : NULL;
    if (sv && SvTYPE(sv) == SVt_PVHV)
        mark(aTHX_ sv);
    else if (sv && SvTYPE(sv) == SVt_PVCV)
        cp_body_goes(aTHX_ (CV *)sv);
    return perl_undef(aTHX);
}

static OP *each(pTHX) {
    mark(aTHX_ *PL_stack_sp);
    return perl_each(aTHX);
}

static OP *each_of_array(pTHX) {
    mark(aTHX_ *PL_stack_sp);
    return perl_aeach(aTHX);
}

static OP *bless_object(pTHX) {
    OP *next = perl_bless(aTHX);
    SV *reference = *PL_stack_sp;
    if (SvROK(reference))
        mark(aTHX_ SvRV(reference));
    return next;
}

/* Where an array has magic, perl turns it round or sorts it in its place by the values of its elements, so
 * that references to them see other values: without, it moves the elements. */
static Perl_ppaddr_t perl_reverse, perl_sort;

static OP *without_magic(pTHX_ Perl_ppaddr_t perl_op, int in_place) {
    AV *array = in_place && *PL_stack_sp && SvTYPE(*PL_stack_sp) == SVt_PVAV ? (AV *)*PL_stack_sp : NULL;
    MAGIC *mg = array && SvMAGICAL(array)
                    ? mg_findext((SV *)array, PERL_MAGIC_ext, &cp_array_vtbl)
                    : NULL;
    if (!mg || SvGMAGICAL(array))
        return perl_op(aTHX);
    (void)cp_watched_changed(aTHX_ (SV *)array, mg);
    /* After a die in a comparison they come back when the array is looked at. */
    SvMAGICAL_off(array);
    OP *next = perl_op(aTHX);
    mg_magical((SV *)array);
    return next;
}

static OP *reverse_in_place(pTHX) {
    return without_magic(aTHX_ perl_reverse, PL_op->op_private & OPpREVERSE_INPLACE);
}

static OP *sort_in_place(pTHX) {
    return without_magic(aTHX_ perl_sort, PL_op->op_private & OPpSORT_INPLACE);
}

/* A whole hash: what is asked of a single key is seen by perl itself. */
static Perl_ppaddr_t perl_rv2hv;

static OP *dereference(pTHX) {
    SV *reference = *PL_stack_sp;
    if (SvROK(reference) && SvTYPE(SvRV(reference)) == SVt_PVHV && SvMAGICAL(SvRV(reference)))
        cp_look_into(aTHX_ SvRV(reference));
    return perl_rv2hv(aTHX);
}

static Perl_ppaddr_t hook(Optype op, Perl_ppaddr_t ours) {
    Perl_ppaddr_t perl_op = PL_ppaddr[op];
    PL_ppaddr[op] = ours;
    return perl_op;
}

void cp_watch_ops(void) {
    if (perl_sort)
        return;
    perl_reverse = hook(OP_REVERSE, reverse_in_place);
    perl_sort = hook(OP_SORT, sort_in_place);
    perl_aassign = hook(OP_AASSIGN, assign);
    perl_undef = hook(OP_UNDEF, undefine);
    perl_each = hook(OP_EACH, each);
    perl_aeach = hook(OP_AEACH, each_of_array);
    perl_rv2hv = hook(OP_RV2HV, dereference);
    perl_bless = hook(OP_BLESS, bless_object);
}
