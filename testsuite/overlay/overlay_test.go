package overlay_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// A change means nothing when its text is gone, or stands there twice.
func TestChange_Apply_TextThereOnce(t *testing.T) {
	t.Parallel()
	c := overlay.Change{File: "a.go", From: "one", To: "two"}
	if got, err := c.Apply("only one here"); err != nil || got != "only two here" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, source := range []string{"two", "one and one"} {
		if got, err := c.Apply(source); err == nil {
			t.Errorf("%q became %q without complaint", source, got)
		}
	}
}

// Two changes of one file are both in its copy, and the file stays as it is.
func TestWrite_ChangesOfOneFile_InOneCopy(t *testing.T) {
	t.Parallel()
	root, folder := t.TempDir(), t.TempDir()
	path := filepath.Join(root, "a.go")
	if err := os.WriteFile(path, []byte("one two"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := overlay.Write(root, folder, "bug", []overlay.Change{{File: "a.go", From: "one", To: "1"}, {File: "a.go", From: "two", To: "2"}})
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Replace map[string]string }
	data, err := os.ReadFile(list)
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	if err != nil || len(said.Replace) != 1 {
		t.Fatalf("the list is %s, %v", data, err)
	}
	for file, want := range map[string]string{path: "one two", said.Replace[path]: "1 2"} {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}
