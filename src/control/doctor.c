/* The method `doctor`. */
#include "base/json.h"
#include "control/method.h"
#include "engine/doctor.h"

static json_t *json_of_finding(const Finding *finding)
{
    return json_pack("{s:s?, s:s, s:s, s:s?}", "name", finding->name, "severity",
                     severity_name(finding->severity), "what", finding->what, "fix", finding->fix);
}

static json_t *method_doctor(Call *call, GError **error)
{
    const char *name = NULL;
    g_autoptr(GPtrArray) findings = NULL;
    if (!json_member_string(call->params, "name", FALSE, &name, error) && *error)
        return NULL;
    if (name) {
        const Tracked *tracked = call_find(call, name, error);
        if (!tracked)
            return NULL;
        findings = doctor_server(call->engine, tracked);
    } else {
        HostSettings settings;
        doctor_settings(call->engine, &settings);
        findings = doctor_host(call->engine, &settings);
    }
    json_t *array = json_array();
    for (guint i = 0; i < findings->len; i++)
        json_array_append_new(array, json_of_finding(findings->pdata[i]));
    return json_pack("{s:o}", "findings", array);
}

static const MethodRow ROWS[] = {
    {"doctor", method_doctor, ACCESS_OPERATOR, FALSE},
};
const MethodTable methods_doctor = {ROWS, G_N_ELEMENTS(ROWS)};
