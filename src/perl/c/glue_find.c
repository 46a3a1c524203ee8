/*
 * Finds what a value leads to, and what subs and closures have captured, and gives each a head. What is the
 * process's own is left out: handles, code, tied and other magical values, XS objects. Where to begin,
 * glue_site.c knows; glue_note.c and glue_exchange.c note and exchange the contents.
 */
#include "glue_exchange.h"

struct cp_head *cp_heads;
U32 cp_head_count;
static U32 head_room;

/* Every SV that was looked at: the number of its head plus one, or NO_HEAD. */
static PTR_TBL_t *known;
#define NO_HEAD 0xffffffffU

static AV *unfit;

/* Found, and not yet followed. */
struct todo {
    SV *sv;
    U16 owner;
    char watch;
};
static struct todo *todo;
static size_t todo_count, todo_room;

/* Heads by owner: with many of them the later ones are watched. */
static U32 by_owner[1024];

#define MANY 1000

/* The names of large variables, and the package that is looked at. */
static PTR_TBL_t *names;
const char *cp_package = "";

const char *cp_name_of(pTHX_ SV *sv) {
    const char *name = names ? ptr_table_fetch(names, sv) : NULL;
    return name ? name : "";
}

/* What is found is marked as known and gets no head. */
int cp_keep;

U32 cp_head_of(pTHX_ SV *sv) {
    U32 number = known ? (U32)PTR2UV(ptr_table_fetch(known, sv)) : 0;
    return number == NO_HEAD ? 0 : number;
}

U32 cp_head_add(pTHX_ SV *sv, int kind, U16 owner) {
    if (cp_head_count == head_room) {
        head_room = head_room ? head_room * 2 : 256;
        Renew(cp_heads, head_room, struct cp_head);
    }
    struct cp_head *head = &cp_heads[cp_head_count];
    Zero(head, 1, struct cp_head);
    head->sv = SvREFCNT_inc_simple_NN(sv);
    head->kind = (U8)kind;
    head->owner = owner;
    if (!known)
        known = ptr_table_new();
    ptr_table_store(known, sv, INT2PTR(void *, (UV)cp_head_count + 1));
    return cp_head_count++;
}

int cp_is_known(pTHX_ SV *sv) { return known && ptr_table_fetch(known, sv) != NULL; }

void cp_know(pTHX_ SV *sv) {
    if (!known)
        known = ptr_table_new();
    if (!ptr_table_fetch(known, sv))
        ptr_table_store(known, sv, INT2PTR(void *, (UV)NO_HEAD));
}

void cp_tell_unfit(pTHX_ U16 owner, int why, const char *sigil, const char *name, const char *package) {
    if (!unfit)
        unfit = newAV();
    AV *one = newAV();
    av_push(one, newSViv(owner));
    av_push(one, newSViv(why));
    av_push(one, newSVpvf("%s%s", sigil, name));
    av_push(one, newSVpv(package, 0));
    av_push(unfit, newRV_noinc((SV *)one));
}

cp_sv *cp_unfit(void) {
    AV *told = unfit;
    unfit = NULL;
    return CP(told);
}

int cp_is_ordinary_magic(SV *sv) {
    for (MAGIC *mg = SvTYPE(sv) >= SVt_PVMG ? SvMAGIC(sv) : NULL; mg; mg = mg->mg_moremagic)
        switch (mg->mg_type) {
        case PERL_MAGIC_regex_global:
        case PERL_MAGIC_utf8:
        case PERL_MAGIC_vstring:
        case PERL_MAGIC_backref:
        case PERL_MAGIC_arylen_p:
        case PERL_MAGIC_taint:
            break;
        case PERL_MAGIC_ext:
            /* What a module has hung on the value: that stays, and the contents are the value's own, unless
             * it is asked for them. */
            if (mg->mg_virtual && (mg->mg_virtual->svt_get || mg->mg_virtual->svt_set))
                return 0;
            break;
        default:
            return 0;
        }
    return 1;
}

/* What somebody must be told of: a variable whose contents are behind magic. */
static int why_unfit(SV *sv) {
    if (mg_find(sv, SvTYPE(sv) < SVt_PVAV ? PERL_MAGIC_tiedscalar : PERL_MAGIC_tied))
        return CP_UNFIT_TIED;
    /* perl's own, and what watches. */
    if (mg_find(sv, PERL_MAGIC_isa) || mg_find(sv, PERL_MAGIC_sv) ||
        mg_find(sv, PERL_MAGIC_env) || mg_find(sv, PERL_MAGIC_sig) || mg_find(sv, PERL_MAGIC_arylen))
        return 0;
    return CP_UNFIT_MAGICAL;
}

static void later(SV *sv, U16 owner, int watch) {
    if (todo_count == todo_room) {
        todo_room = todo_room ? todo_room * 2 : 256;
        Renew(todo, todo_room, struct todo);
    }
    todo[todo_count++] = (struct todo){.sv = sv, .owner = owner, .watch = (char)watch};
}

static size_t size_of(SV *sv) {
    return SvTYPE(sv) == SVt_PVAV ? (size_t)(AvFILLp((AV *)sv) + 1) : (size_t)HvTOTALKEYS((HV *)sv);
}

/* Looks at a value. With a name it is a variable. */
void cp_see(pTHX_ SV *sv, U16 owner, int watch, const char *sigil, const char *name) {
    if (!sv || SvIMMORTAL(sv) || cp_is_known(aTHX_ sv))
        return;
    const svtype type = SvTYPE(sv);
    if (type == SVt_PVCV || type == SVt_PVFM) {
        cp_know(aTHX_ sv);
        later(sv, owner, 0);
        return;
    }
#ifdef CP_CLASSES
    /* An object of perl's own classes keeps its fields, and these are variables. */
    if (type == SVt_PVOBJ) {
        cp_know(aTHX_ sv);
        later(sv, owner, watch);
        return;
    }
#endif
    if (type == SVt_PVAV && SvMAGICAL(sv) && mg_find(sv, PERL_MAGIC_isa)) {
        /* Its elements have magic, too, and are taken as they are. */
        if (cp_keep)
            cp_know(aTHX_ sv);
        else
            (void)cp_head_add(aTHX_ sv, CP_HEAD_ARRAY, owner);
        return;
    }
    if (!cp_is_ordinary_magic(sv)) {
        const int why = name ? why_unfit(sv) : 0;
        if (why && !cp_keep)
            cp_tell_unfit(aTHX_ owner, why, sigil, name, cp_package);
        cp_know(aTHX_ sv);
        return;
    }
    if (isGV_with_GP(sv) && GvIOp((GV *)sv) && !cp_keep)
        cp_see_handle(aTHX_ GvIOp((GV *)sv));
    int kind = -1;
    if (type == SVt_PVAV)
        kind = CP_HEAD_ARRAY;
    else if (type == SVt_PVHV)
        kind = HvSHAREKEYS((HV *)sv) && !HvENAME_HEK((HV *)sv) && !SvREADONLY(sv) ? CP_HEAD_HASH : -1;
    else if (type <= SVt_PVMG || (type == SVt_PVGV && SvFAKE(sv)))
        /* A blessed scalar may hold a pointer of an XS module's. */
        kind = SvOBJECT(sv) && !cp_is_site_class(aTHX_ SvSTASH(sv)) ? -1 : CP_HEAD_SCALAR;
    if (kind < 0 || cp_keep) {
        cp_know(aTHX_ sv);
        if (kind >= 0 || type == SVt_PVHV)
            later(sv, owner, 0);
        return;
    }
    if ((kind == CP_HEAD_ARRAY || kind == CP_HEAD_HASH) && size_of(sv) > CP_LARGE)
        watch = 1;
    /* A variable of its own is compared: its iterator or match position counts, too. */
    if (!name && owner < C_ARRAY_LENGTH(by_owner) && ++by_owner[owner] > MANY)
        watch = 1;
    if (name && watch) {
        if (!names)
            names = ptr_table_new();
        ptr_table_store(names, sv, SvPVX(newSVpvf("%s%s", sigil, name)));
    }
    const U32 number = cp_head_add(aTHX_ sv, kind, owner);
    if (watch)
        cp_heads[number].marks |= CP_WATCHED;
    later(sv, owner, watch);
}

static void follow_scalar(pTHX_ SV *sv, U16 owner, int watch) {
    if (SvROK(sv))
        cp_see(aTHX_ SvRV(sv), owner, watch, NULL, NULL);
}

/* A constant may be a reference, or a list of them. */
static void follow_constant(pTHX_ CV *cv, U16 owner) {
    SV *value = CvCONST(cv) ? (SV *)CvXSUBANY(cv).any_ptr : NULL;
    if (!value)
        return;
    if (SvTYPE(value) == SVt_PVAV) {
        for (SSize_t i = 0; i <= AvFILLp((AV *)value); i++)
            if (AvARRAY((AV *)value)[i] && SvROK(AvARRAY((AV *)value)[i]))
                cp_see(aTHX_ SvRV(AvARRAY((AV *)value)[i]), owner, 0, NULL, NULL);
    } else if (SvROK(value)) {
        cp_see(aTHX_ SvRV(value), owner, 0, NULL, NULL);
    }
}

/* What a sub or closure of the site's has captured, and what it keeps from call to call. */
static void follow_code(pTHX_ CV *cv, U16 owner) {
    if (CvISXSUB(cv)) {
        follow_constant(aTHX_ cv, owner);
        return;
    }
    if (!cp_is_site_code(aTHX_ cv) || !CvPADLIST(cv))
        return;
    PADLIST *list = CvPADLIST(cv);
    if (PadlistMAX(list) < 1 || !PadlistARRAY(list)[1])
        return;
    PADNAMELIST *padnames = PadlistNAMES(list);
    cp_package = CvSTASH(cv) && HvNAME_HEK(CvSTASH(cv)) ? HvNAME(CvSTASH(cv)) : "";
    AV *pad = (AV *)PadlistARRAY(list)[1];
    for (SSize_t i = 1; i <= PadnamelistMAX(padnames) && i <= AvFILLp(pad); i++) {
        PADNAME *name = PadnamelistARRAY(padnames)[i];
        const char *text = name ? PadnamePV(name) : NULL;
        SV *sv = AvARRAY(pad)[i];
        if (!text || !sv || PadnameIsOUR(name))
            continue;
#ifdef CP_CLASSES
        /* A method's: there only while it runs, and found in the object. */
        if (PadnameIsFIELD(name))
            continue;
#endif
        /* "&": the prototype of an anonymous sub; "&name": a lexical one. "$" alone: whether a `state`
         * was initialised. */
        if (PadnameOUTER(name) || PadnameIsSTATE(name) || *text == '&')
            cp_see(aTHX_ sv, owner, 0, "", text);
    }
}

void cp_follow(pTHX) {
    while (todo_count) {
        const struct todo next = todo[--todo_count];
        SV *sv = next.sv;
        switch (SvTYPE(sv)) {
        case SVt_PVAV:
            for (SSize_t i = 0; i <= AvFILLp((AV *)sv); i++)
                cp_see(aTHX_ AvARRAY((AV *)sv)[i], next.owner, next.watch || size_of(sv) > CP_LARGE, NULL, NULL);
            break;
        case SVt_PVHV: {
            HV *hash = (HV *)sv;
            if (HvENAME_HEK(hash))
                break;
            const int watch = next.watch || size_of(sv) > CP_LARGE;
            for (STRLEN i = 0; HvARRAY(hash) && i <= HvMAX(hash); i++)
                for (HE *entry = HvARRAY(hash)[i]; entry; entry = HeNEXT(entry))
                    if (HeVAL(entry) != &PL_sv_placeholder && !cp_is_local_key(HeKEY_hek(entry)))
                        cp_see(aTHX_ HeVAL(entry), next.owner, watch, NULL, NULL);
            break;
        }
#ifdef CP_CLASSES
        case SVt_PVOBJ:
            for (SSize_t i = 0; i <= ObjectMAXFIELD(sv); i++)
                cp_see(aTHX_ ObjectFIELDS(sv)[i], next.owner, next.watch, NULL, NULL);
            break;
#endif
        case SVt_PVCV:
        case SVt_PVFM:
            follow_code(aTHX_ (CV *)sv, next.owner);
            break;
        default:
            follow_scalar(aTHX_ sv, next.owner, next.watch);
        }
    }
}

void cp_find_anew(void) {
    dTHXa(cp_perl);
    for (U32 i = 0; i < cp_head_count; i++) {
        struct cp_head *head = &cp_heads[i];
        if (head->marks & CP_WATCHED)
            cp_unwatch_head(aTHX_ head);
        /* What was noted is not given back: it happens once in a worker's life, and the values are
         * the variables' own, too. */
    }
    cp_dirty_clear();
    cp_compare_anew();
    cp_head_count = 0;
    Zero(by_owner, C_ARRAY_LENGTH(by_owner), U32);
    if (known)
        ptr_table_free(known);
    known = NULL;
    cp_forget_others(aTHX);
}
