/*
 * Lists and hashes of a plugin object that refer to each other in a circle: reference counts alone
 * would keep each session's copy of them for ever. It frees only what nothing else refers to; what a
 * session has made into a circle itself lasts as long as its worker, as with any perl.
 */
#include "glue_perl.h"

/* A list to which there are weak references knows them by magic, which changes nothing else. */
int cp_is_plain_container(SV *sv) {
    if ((SvTYPE(sv) != SVt_PVAV && SvTYPE(sv) != SVt_PVHV) || SvOBJECT(sv))
        return 0;
    for (MAGIC *mg = SvMAGICAL(sv) ? SvMAGIC(sv) : NULL; mg; mg = mg->mg_moremagic)
        if (mg->mg_type != PERL_MAGIC_backref)
            return 0;
    return 1;
}

void cp_made_add(cp_made *made, SV *container) {
    if (made->count == made->room) {
        made->room = made->room ? made->room * 2 : 32;
        Renew(made->list, made->room, SV *);
    }
    made->list[made->count++] = container;
}

/* What was found, with the number of references to it from among what was found. */
struct found {
    cp_made nodes;
    PTR_TBL_t *places; /* its place in `nodes`, from 1 on */
    U32 *inside;
    char *is_live;
};

typedef void visitor(pTHX_ struct found *f, SV *target);

static size_t place_of(pTHX_ struct found *f, SV *sv) {
    return PTR2UV(ptr_table_fetch(f->places, sv));
}

static void discover(pTHX_ struct found *f, SV *sv) {
    if (place_of(aTHX_ f, sv))
        return;
    cp_made_add(&f->nodes, sv);
    ptr_table_store(f->places, sv, INT2PTR(void *, f->nodes.count));
}

static void count_inside(pTHX_ struct found *f, SV *target) {
    f->inside[place_of(aTHX_ f, target) - 1]++;
}

static void visit_value(pTHX_ struct found *f, SV *value, visitor *visit) {
    if (value && SvROK(value) && !SvWEAKREF(value) && cp_is_plain_container(SvRV(value)))
        visit(aTHX_ f, SvRV(value));
}

/* Each container that this one refers to. Without iterators: somebody may be using them. */
static void visit_targets(pTHX_ struct found *f, SV *container, visitor *visit) {
    if (SvTYPE(container) == SVt_PVAV) {
        for (SSize_t i = 0; i <= AvFILLp((AV *)container); i++)
            visit_value(aTHX_ f, AvARRAY((AV *)container)[i], visit);
        return;
    }
    HE **buckets = HvARRAY((HV *)container);
    for (STRLEN i = 0; buckets && i <= HvMAX((HV *)container); i++)
        for (HE *entry = buckets[i]; entry; entry = HeNEXT(entry))
            visit_value(aTHX_ f, HeVAL(entry), visit);
}

static void mark_live(pTHX_ struct found *f, SV *target) {
    char *is_live = &f->is_live[place_of(aTHX_ f, target) - 1];
    if (!*is_live)
        *is_live = 1;
}

static void free_cycles(pTHX_ AV *weak) {
    struct found f = {.places = ptr_table_new()};
    for (SSize_t i = 0; i <= AvFILLp(weak); i++)
        if (SvROK(AvARRAY(weak)[i]))
            discover(aTHX_ &f, SvRV(AvARRAY(weak)[i]));
    for (size_t i = 0; i < f.nodes.count; i++)
        visit_targets(aTHX_ &f, f.nodes.list[i], discover);
    size_t count = f.nodes.count;
    Newxz(f.inside, count + 1, U32);
    Newxz(f.is_live, count + 1, char);
    for (size_t i = 0; i < count; i++)
        visit_targets(aTHX_ &f, f.nodes.list[i], count_inside);
    for (size_t i = 0; i < count; i++)
        f.is_live[i] = SvREFCNT(f.nodes.list[i]) > f.inside[i];
    /* What something live refers to is live (1; 2 once it was followed): until nothing changes. */
    for (int changed = 1; changed;) {
        changed = 0;
        for (size_t i = 0; i < count; i++)
            if (f.is_live[i] == 1) {
                f.is_live[i] = 2;
                visit_targets(aTHX_ &f, f.nodes.list[i], mark_live);
                changed = 1;
            }
    }
    ptr_table_free(f.places);
    AV *dead = newAV();
    for (size_t i = 0; i < count; i++)
        if (!f.is_live[i])
            av_push(dead, SvREFCNT_inc_simple_NN(f.nodes.list[i]));
    Safefree(f.inside);
    Safefree(f.is_live);
    Safefree(f.nodes.list);
    /* Destructors of what is in there may run from here on. */
    for (SSize_t i = 0; i <= AvFILLp(dead); i++) {
        SV *container = AvARRAY(dead)[i];
        if (SvTYPE(container) == SVt_PVAV)
            av_clear((AV *)container);
        else
            hv_clear((HV *)container);
    }
    SvREFCNT_dec((SV *)dead);
}

static int owner_ends(pTHX_ SV *sv, MAGIC *mg) {
    AV *weak = (AV *)mg->mg_obj;
    /* Its own elements are no reason to keep what they refer to. It is being freed, which emptying it
     * must not begin again. */
    SvREFCNT(sv) = 1;
    hv_clear((HV *)sv);
    SvREFCNT(sv) = 0;
    free_cycles(aTHX_ weak);
    return 0;
}

static const MGVTBL owner_vtbl = {NULL, NULL, NULL, NULL, owner_ends, NULL, NULL, NULL};

void cp_free_cycles_with(pTHX_ SV *owner, const cp_made *made) {
    AV *weak = newAV();
    for (size_t i = 0; i < made->count; i++) {
        if (made->list[i] == owner)
            continue;
        SV *reference = newRV_inc(made->list[i]);
        sv_rvweaken(reference);
        av_push(weak, reference);
    }
    sv_magicext(owner, (SV *)weak, PERL_MAGIC_ext, &owner_vtbl, NULL, 0);
    SvREFCNT_dec((SV *)weak);
}
