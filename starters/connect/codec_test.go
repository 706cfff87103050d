package connect

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

func testKey(id string, fill byte) string {
	return id + ":" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32))
}

func TestConverter_EncryptsAndRotates(t *testing.T) {
	t.Setenv(KeysVariable, testKey("old", 1))
	old, err := Converter()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := old.ToPayload("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(payload.String(), "ada@") || bytes.Contains(payload.Data, []byte("ada@")) {
		t.Fatalf("the payload is readable: %s", payload)
	}
	t.Setenv(KeysVariable, testKey("new", 2)+","+testKey("old", 1))
	rotated, err := Converter()
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := rotated.FromPayload(payload, &text); err != nil || text != "ada@example.com" {
		t.Fatalf("after rotation: %q, %v", text, err)
	}
	t.Setenv(KeysVariable, testKey("new", 2))
	without, err := Converter()
	if err != nil {
		t.Fatal(err)
	}
	if err := without.FromPayload(payload, &text); err == nil || !strings.Contains(err.Error(), `"old"`) {
		t.Fatalf("without its key: %v, want an error that names the key", err)
	}
}

func TestConverter_ReadsWhatWasWrittenBefore(t *testing.T) {
	plain, err := converter.GetDefaultDataConverter().ToPayload(42)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(KeysVariable, testKey("k", 3))
	encrypting, err := Converter()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := encrypting.FromPayload(plain, &n); err != nil || n != 42 {
		t.Fatalf("got %d, %v", n, err)
	}
}

func TestConverter_TamperedOrBadKeys_Refused(t *testing.T) {
	t.Setenv(KeysVariable, testKey("a", 1)+","+testKey("b", 1))
	c, err := Converter()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := c.ToPayload("x")
	if err != nil {
		t.Fatal(err)
	}
	payload.Metadata[keyID] = []byte("b") // the same secret under another name
	var text string
	if err := c.FromPayload(payload, &text); err == nil {
		t.Error("a payload under an exchanged key id was read")
	}
	if err := c.FromPayload(&commonpb.Payload{Metadata: map[string][]byte{encodingKey: []byte(encoding), keyID: []byte("a")}}, &text); err == nil {
		t.Error("an empty payload was read")
	}
	for _, bad := range []string{"x", "a:short", testKey("a", 1) + "," + testKey("a", 2), ":" + strings.Repeat("A", 44)} {
		t.Setenv(KeysVariable, bad)
		if _, err := Converter(); err == nil {
			t.Errorf("keys %q were taken", bad)
		}
	}
}
