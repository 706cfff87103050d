package order

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestFormatMinor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		minor    int64
		currency Currency
		want     string
	}{
		{9980, "EUR", "99.80"}, {5, "EUR", "0.05"}, {0, "EUR", "0.00"}, {-5, "EUR", "-0.05"}, {-9980, "EUR", "-99.80"},
		{500, "JPY", "500"}, {-1, "JPY", "-1"}, {1250, "KWD", "1.250"}, {1, "KWD", "0.001"}, {100, "XXX", "1.00"},
		{math.MaxInt64, "EUR", "92233720368547758.07"}, {math.MinInt64, "JPY", "-9223372036854775808"},
	}
	for _, tt := range tests {
		if got := FormatMinor(tt.minor, tt.currency); got != tt.want {
			t.Errorf("FormatMinor(%d, %s) = %q, want %q", tt.minor, tt.currency, got, tt.want)
		}
	}
	if got := (Amount{9980, "EUR"}).String(); got != "99.80 EUR" {
		t.Errorf("the amount is %q", got)
	}
}

func TestParseMinor_FormatMinor_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(math.MinInt64+1, math.MaxInt64).Draw(t, "minor")
		currency := rapid.SampledFrom([]Currency{"EUR", "JPY", "KWD"}).Draw(t, "currency")
		if back, err := ParseMinor(FormatMinor(minor, currency), currency); err != nil || back != minor {
			t.Fatalf("%d %s came back as %d, %v", minor, currency, back, err)
		}
	})
}

func TestParseMinor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text     string
		currency Currency
		want     int64
		refused  bool
	}{
		{"99.80", "EUR", 9980, false}, {"99.8", "EUR", 9980, false}, {"99", "EUR", 9900, false}, {"99.8000", "EUR", 9980, false},
		{"-0.05", "EUR", -5, false}, {"500", "JPY", 500, false}, {"500.00", "JPY", 500, false}, {"1.25", "KWD", 1250, false},
		{"99.801", "EUR", 0, true}, {"0.5", "JPY", 0, true}, {"", "EUR", 0, true}, {".5", "EUR", 0, true}, {"-", "EUR", 0, true},
		{"1e3", "EUR", 0, true}, {"+5", "EUR", 0, true}, {"--5", "EUR", 0, true}, {"1_000", "EUR", 0, true}, {" 5", "EUR", 0, true},
		{"1.-5", "EUR", 0, true}, {"1,50", "EUR", 0, true}, {"0x10", "EUR", 0, true}, {"1.2.3", "EUR", 0, true},
		{"92233720368547758.08", "EUR", 0, true}, {"5", "XXX", 0, true},
	}
	for _, tt := range tests {
		got, err := ParseMinor(tt.text, tt.currency)
		if (err != nil) != tt.refused || got != tt.want {
			t.Errorf("ParseMinor(%q, %s) = %d, %v; want %d, refused %v", tt.text, tt.currency, got, err, tt.want, tt.refused)
		}
	}
}
