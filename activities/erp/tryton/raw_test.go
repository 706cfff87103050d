package tryton_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// tryCall returns the result or the error of a call.
func tryCall(t *testing.T, url, model, method string, args []any) (result, failed json.RawMessage) {
	t.Helper()
	login, failed := post(t, url, "", "common.db.login", []any{"admin", map[string]string{"password": "admin"}, "en"})
	var session []any
	if failed != nil || json.Unmarshal(login, &session) != nil || len(session) != 2 {
		t.Fatalf("log in: %s %s", login, failed)
	}
	header := "Session " + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "admin:%v:%v", session[0], session[1]))
	return post(t, url, header, "model."+model+"."+method, append(args, map[string]any{"company": 1, "language": "en"}))
}

func post(t *testing.T, url, authorization, method string, params []any) (result, failed json.RawMessage) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct{ Result, Error json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatalf("%s: HTTP %d: %v", method, resp.StatusCode, err)
	}
	return out.Result, out.Error
}
