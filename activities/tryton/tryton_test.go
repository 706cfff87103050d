package tryton

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

func TestValues_TravelUnchanged(t *testing.T) {
	t.Parallel()
	type row struct {
		Amount Decimal  `json:"amount"`
		None   Decimal  `json:"none"`
		At     Datetime `json:"at"`
		On     Date     `json:"on"`
		Never  Date     `json:"never"`
	}
	in := row{
		Amount: Money(-1250, "KWD"), At: Datetime{time.Date(2026, 11, 22, 23, 59, 58, 123456000, time.UTC)},
		On: DateOf(time.Date(2026, 11, 22, 23, 0, 0, 0, time.FixedZone("", -7200))),
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"amount":{"__class__":"Decimal","decimal":"-1.250"},"none":null,` +
		`"at":{"__class__":"datetime","year":2026,"month":11,"day":22,"hour":23,"minute":59,"second":58,"microsecond":123456},` +
		`"on":{"__class__":"date","year":2026,"month":11,"day":23},"never":null}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	var out row
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("back (-want +got):\n%s", diff)
	}
	if n, err := out.Amount.Minor("KWD"); err != nil || n != -1250 {
		t.Errorf("minor = %d, %v; want -1250", n, err)
	}
}

func TestValues_NoFloatIsMoney(t *testing.T) {
	t.Parallel()
	var d Decimal
	for _, s := range []string{`1.5`, `"1.5"`, `{"__class__":"date","year":1,"month":1,"day":1}`, `{}`} {
		if err := json.Unmarshal([]byte(s), &d); err == nil {
			t.Errorf("%s was taken for a Decimal", s)
		}
	}
	if _, err := Decimal("1.005").Minor("EUR"); err == nil {
		t.Error("half a cent was rounded away")
	}
}

func TestRPCError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body        string
		write       bool
		code        apierr.Code
		reason, not string
	}{
		{`["UserError",["The code on party must be unique.","",null]]`, true, apierr.Declined, UserError, ""},
		{`["UserError",["You may not read \"Ada Lovelace\".","",null]]`, true, apierr.Declined, UserError, "Ada"},
		{`["UserWarning",["name_1","Sure?",""]]`, true, apierr.Conflict, UserWarning, ""},
		{`["ConcurrencyException","Records were modified"]`, true, apierr.Conflict, ConcurrencyException, ""},
		{`["could not serialize access due to concurrent update\n",""]`, true, apierr.Unavailable, Busy, ""},
		{`["'nofield'",""]`, true, apierr.InDoubt, "", ""},
		{`["'nofield'",""]`, false, apierr.Unavailable, "", ""},
		{`{"code":1}`, true, apierr.InDoubt, "", ""},
		{`{"code":1}`, false, apierr.Garbage, "", ""},
	} {
		err := rpcError([]byte(c.body), c.write)
		if apierr.CodeOf(err) != c.code || apierr.ReasonOf(err) != c.reason || c.not != "" && strings.Contains(err.Error(), c.not) {
			t.Errorf("%s: %v, want %s %s without %q", c.body, err, c.code, c.reason, c.not)
		}
	}
	err := rpcError([]byte(`["UserWarning",["name_1","Sure?",""]]`), true)
	if w, ok := errors.AsType[*Warning](err); !ok || w.Name != "name_1" {
		t.Errorf("warning = %v", w)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0, now.Add(time.Minute).Format(http.TimeFormat): time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		h := http.Header{"Retry-After": {value}, "Date": {now.Format(http.TimeFormat)}}
		if got := retryAfter(&http.Response{Header: h}); got != want {
			t.Errorf("retry after %q = %s, want %s", value, got, want)
		}
	}
}

func TestAnswer_ToAnotherCall_IsNone(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"id":8,"result":1}`, `{"result":1}`, `{"id":7}`, `[]`, ``} {
		if _, err := answer([]byte(body), 7, true); err == nil || apierr.CodeOf(err) != apierr.InDoubt {
			t.Errorf("%s: %v, want in doubt", body, err)
		}
		if _, err := answer([]byte(body), 7, false); err == nil || apierr.CodeOf(err) != apierr.Garbage {
			t.Errorf("%s: %v, want garbage", body, err)
		}
	}
	if got, err := answer([]byte(`{"id":7,"result":null}`), 7, true); err != nil || string(got) != "null" {
		t.Errorf("a button's null = %s, %v", got, err)
	}
}

func TestBelongs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reference       string
		id              order.ID
		ours, excusable bool
	}{
		{"order/O1/request/1", "O1", true, true}, {"order/O2/request/1", "O1", false, false},
		{"order/Ox1/request/1", "O_1", false, true}, {"order/O_1/request/1", "O_1", true, true}, {"", "O_1", false, false},
	} {
		if ours, excusable := Belongs(c.reference, c.id); ours != c.ours || excusable != c.excusable {
			t.Errorf("Belongs(%q, %q) = %t, %t", c.reference, c.id, ours, excusable)
		}
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	if c, err := ParseCursor("", "a", "b"); err != nil || c.Kind != "a" || c.ID != 0 {
		t.Errorf("the empty cursor = %+v, %v", c, err)
	}
	if c, err := ParseCursor(Cursor{"b", 17}.String(), "a", "b"); err != nil || c != (Cursor{"b", 17}) {
		t.Errorf("cursor = %+v, %v", c, err)
	}
	for _, s := range []string{"c:1", "a", "a:x", "a:-1"} {
		if _, err := ParseCursor(s, "a", "b"); err == nil || apierr.CodeOf(err) != apierr.Invalid {
			t.Errorf("cursor %q: %v, want invalid", s, err)
		}
	}
}

func TestWindow_Created_IgnoresWrites(t *testing.T) {
	t.Parallel()
	w, err := json.Marshal(Window(reconcile.ListRequest{By: reconcile.ListCreated, From: time.Unix(0, 0), To: time.Unix(1, 0)}))
	if err != nil || strings.Contains(string(w), "write_date") {
		t.Errorf("window = %s, %v", w, err)
	}
}
