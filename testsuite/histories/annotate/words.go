package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/order"
)

// wish says what somebody asked for.
func (t *teller) wish(args map[string]any) string {
	var parts []string
	for _, name := range []string{"choice", "as", "case", "reason", "by"} {
		if v := args[name]; v != nil && v != "" {
			parts = append(parts, fmt.Sprintf("%s %v", name, v))
		}
	}
	if n := t.money(args["amount"]); n != "" {
		parts = append(parts, n)
	}
	if p, ok := args["payment"].(map[string]any); ok {
		parts = append(parts, "with "+one(p, "method", "intent"))
	}
	if a, ok := args["ship_to"].(map[string]any); ok {
		parts = append(parts, "to "+one(a, "city"))
	}
	for _, name := range []string{"drop", "lines"} {
		if lines := pieces(args[name]); lines != "" {
			parts = append(parts, name+" "+lines)
		}
	}
	if systems, ok := args["systems"].([]any); ok {
		parts = append(parts, fmt.Sprint("about ", systems))
	}
	return strings.Join(parts, ", ")
}

// answer says what came of it.
func (t *teller) answer(answer map[string]any) string {
	var parts []string
	for _, name := range []string{"request", "phase", "outcome", "agreement"} {
		if v, ok := answer[name].(string); ok && v != "" {
			parts = append(parts, v)
		}
	}
	for _, name := range []string{"refused", "declined", "pending", "why", "found", "repaired"} {
		if v := answer[name]; v != nil && v != "" && v != 0.0 {
			parts = append(parts, fmt.Sprintf("%s: %v", name, v))
		}
	}
	if answer["next"] != nil {
		parts = append(parts, "the customer must act")
	}
	if q, ok := answer["question"].(map[string]any); ok {
		parts = append(parts, "the customer is asked about "+one(q, "kind"))
	}
	return strings.Join(parts, ", ")
}

// result says what a system answered.
func (t *teller) result(result any, kind string) string {
	switch r := result.(type) {
	case []any:
		said := "promised"
		if kind == "ReadStockLevels" {
			said = "free"
		}
		if lines := pieces(result); lines != "" {
			return said + ": " + lines
		}
		return "nothing is " + said + " any more"
	case map[string]any:
		return t.record(r)
	}
	return "done"
}

// record says what a record holds, of whatever system it is.
func (t *teller) record(r map[string]any) string {
	if inner, ok := r["attempt"].(map[string]any); ok {
		said := t.record(inner)
		if r["next"] != nil {
			said += ", the customer must act"
		}
		return said
	}
	if crm, ok := r["crm"].(map[string]any); ok {
		return t.deal(crm)
	}
	if r["message_id"] != nil {
		return "sent"
	}
	var parts []string
	if s := one(r, "state"); s != "" {
		parts = append(parts, s)
	}
	for _, name := range []string{"held", "captured", "refunded", "disputed", "total"} {
		if n := t.money(r[name]); n != "" {
			parts = append(parts, n+" "+strings.Replace(name, "total", "in all", 1))
		}
	}
	if r["review"] == true {
		parts = append(parts, "under review")
	}
	if why := one(r, "failure", "why"); why != "" {
		parts = append(parts, "because of "+why)
	}
	if lines := pieces(r["lines"]); lines != "" {
		parts = append(parts, lines)
	}
	if len(parts) == 0 {
		return "done"
	}
	return strings.Join(parts, ", ")
}

// deal says how the order's deal stands in the CRM.
func (t *teller) deal(crm map[string]any) string {
	deals, _ := crm["deals"].([]any)
	var parts []string
	for _, d := range deals {
		if d, ok := d.(map[string]any); ok {
			said := "deal " + one(d, "stage")
			if n := t.money(d["revenue"]); n != "" {
				said += " with " + n
			}
			parts = append(parts, said)
		}
	}
	return strings.Join(parts, ", ")
}

// money writes minor units, or nothing for none.
func (t *teller) money(v any) string {
	n, ok := v.(float64)
	if !ok || n == 0 {
		return ""
	}
	return order.Amount{Minor: int64(n), Currency: t.currency}.String()
}

// one returns the first of some texts that is there.
func one(r map[string]any, names ...string) string {
	for _, name := range names {
		if s, ok := r[name].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// pieces writes quantities, or nothing when v holds none.
func pieces(v any) string {
	all, _ := v.([]any)
	var parts []string
	for _, q := range all {
		q, ok := q.(map[string]any)
		if !ok || q["sku"] == nil && q["line"] == nil || q["quantity"] == nil && q["stocked"] == nil {
			continue
		}
		what := fmt.Sprint(q["sku"])
		if q["sku"] == nil || q["sku"] == "" {
			what = fmt.Sprintf("line %v", q["line"])
		}
		n := q["quantity"]
		if n == nil {
			reserved, _ := q["reserved"].(float64)
			stocked, _ := q["stocked"].(float64)
			n = stocked - reserved
		}
		parts = append(parts, fmt.Sprintf("%v × %s", n, what))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
