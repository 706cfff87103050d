package order

import (
	"testing"

	"pgregory.net/rapid"
)

func TestKey_Format(t *testing.T) {
	t.Parallel()
	if got, want := (Intent{Order: "42", Operation: Capture, N: 1}).Key(), "order/42/capture/1"; got != want {
		t.Fatalf("key is %q, want %q", got, want)
	}
}

func TestKey_DifferentIntents_DifferentKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawIntent(t), drawIntent(t)
		if (a == b) != (a.Key() == b.Key()) {
			t.Fatalf("%+v has the key %s, %+v has %s", a, a.Key(), b, b.Key())
		}
		if back, ok := ParseKey(a.Key()); !ok || back != a {
			t.Fatalf("ParseKey(%q) = %+v, %v", a.Key(), back, ok)
		}
	})
}

func drawIntent(t *rapid.T) Intent {
	return Intent{
		Order: ID(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,3}`).Draw(t, "id")),
		Operation: rapid.SampledFrom([]Operation{
			Authorize, Capture, Void, Refund, Reserve, Release, Commit, Adjust, Request, UpdateAddress, Cancel,
			Record, Invoice, Receipt, Credit, Upsert, Send,
		}).Draw(t, "operation"),
		N: rapid.IntRange(1, 12).Draw(t, "n"),
	}
}

func TestParseKey_NotOurs(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "order", "order/42/capture", "order/42/capture/1/2", "Order/42/capture/1", "order//capture/1", "order/a b/capture/1",
		"order/42/capture/0", "order/42/capture/-1", "order/42/capture/01", "order/42/capture/+1", "order/42/capture/x", "SO123",
	} {
		if i, ok := ParseKey(key); ok {
			t.Errorf("ParseKey(%q) = %+v; it is not one of ours", key, i)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("order/42/capture/1")
	f.Add("order/42//1")
	f.Fuzz(func(t *testing.T, key string) {
		if i, ok := ParseKey(key); ok && i.Key() != key {
			t.Fatalf("ParseKey(%q).Key() = %q", key, i.Key())
		}
	})
}
