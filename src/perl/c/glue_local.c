/*
 * The keys that a plugin object has for the time of a hook. Does not know what a hook is.
 */
#include "glue_perl.h"

/* What `local @$plugin{'_qp', '_hook'}` does, at the price of an assignment: outside of the
 * plugin's hooks the keys stay, undefined. Only within another hook of the same plugin is there
 * something to keep. */
#define LOCAL_KEYS 2

struct outer {
    HV *plugin;
    SV *values[LOCAL_KEYS]; /* NULL: undefined */
};

static SV *local_key(pTHX_ int which) {
    static SV *keys[LOCAL_KEYS];
    if (!keys[which])
        keys[which] = which ? newSVpvs_share("_hook") : newSVpvs_share("_qp");
    return keys[which];
}

int cp_is_local_key(HEK *key) {
    dTHXa(cp_perl);
    for (int i = 0; i < LOCAL_KEYS; i++)
        if (SvSHARED_HEK_FROM_PV(SvPVX_const(local_key(aTHX_ i))) == key)
            return 1;
    return 0;
}

static HE *local_entry(pTHX_ HV *plugin, int which) {
    SV *key = local_key(aTHX_ which);
    HE *entry = cp_find_entry(plugin, key);
    return entry ? entry : hv_fetch_ent(plugin, key, 1, SvSHARED_HASH(key));
}

void cp_make_local_keys(pTHX_ HV *plugin) {
    for (int i = 0; i < LOCAL_KEYS; i++)
        (void)local_entry(aTHX_ plugin, i);
}

/* A value that somebody else holds (\$plugin->{_hook}, an outer `local`) is left to them. */
static void set_local(pTHX_ HE *entry, SV *to) {
    if (!entry)
        return;
    /* These are the host's, whatever the expression was in which a hook was left. */
    const int was_tainted = TAINT_get ? 1 : 0;
    TAINT_NOT;
    SV *value = HeVAL(entry);
    if (SvREFCNT(value) > 1 || SvMAGICAL(value) || SvREADONLY(value)) {
        SvREFCNT_dec_NN(value);
        value = HeVAL(entry) = newSV(0);
    }
    if (to)
        sv_setsv_nomg(value, to);
    else
        sv_set_undef(value);
    TAINT_set(was_tainted);
}

static void leave_plugin(pTHX_ void *plugin) {
    for (int i = 0; i < LOCAL_KEYS; i++)
        set_local(aTHX_ local_entry(aTHX_ (HV *)plugin, i), NULL);
    SvREFCNT_dec_NN((SV *)plugin);
}

static void back_to_outer(pTHX_ void *saved) {
    struct outer *outer = saved;
    for (int i = 0; i < LOCAL_KEYS; i++) {
        set_local(aTHX_ local_entry(aTHX_ outer->plugin, i), outer->values[i]);
        SvREFCNT_dec(outer->values[i]);
    }
    SvREFCNT_dec_NN((SV *)outer->plugin);
    Safefree(outer);
}

void cp_localize(pTHX_ HV *plugin, SV *qp, SV *hook) {
    struct outer *outer = NULL;
    HE *entries[LOCAL_KEYS];
    for (int i = 0; i < LOCAL_KEYS; i++) {
        HE *entry = entries[i] = local_entry(aTHX_ plugin, i);
        if (!entry || !SvOK(HeVAL(entry)))
            continue;
        if (!outer)
            Newxz(outer, 1, struct outer);
        outer->values[i] = cp_copy_value(aTHX_ HeVAL(entry));
    }
    SvREFCNT_inc_simple_void_NN((SV *)plugin);
    if (outer) {
        outer->plugin = plugin;
        SAVEDESTRUCTOR_X(back_to_outer, outer);
    } else {
        SAVEDESTRUCTOR_X(leave_plugin, plugin);
    }
    set_local(aTHX_ entries[0], qp);
    set_local(aTHX_ entries[1], hook);
}
