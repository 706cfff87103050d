package payment

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// params are the form parameters of a request, with the fault that the request
// suffers.
type params struct {
	form  url.Values
	fault simulator.FaultKind
}

var index = regexp.MustCompile(`\[\d*\]$`)

// allow refuses a parameter that is not one of these; "metadata[]" stands for
// any key of metadata, and "expand" for expand[] and expand[0] too.
func (p *params) allow(names ...string) *apiError {
	keys := make([]string, 0, len(p.form))
	for k := range p.form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		name := index.ReplaceAllString(k, "")
		if strings.HasPrefix(k, "metadata[") && strings.HasSuffix(k, "]") {
			name = "metadata[]"
		}
		if !slices.Contains(names, name) {
			return invalidRequest("parameter_unknown", k, "Received unknown parameter: "+k)
		}
		if len(p.form[k]) > 1 && !strings.HasSuffix(k, "[]") {
			return invalidRequest("parameter_invalid", k, "Invalid parameter: "+k)
		}
	}
	return nil
}

func (p *params) has(name string) bool { return p.form.Has(name) }

// amount reads an integer, which is required unless a default is given.
func (p *params) amount(name string, otherwise *int64) (int64, *apiError) {
	if !p.has(name) {
		if otherwise != nil {
			return *otherwise, nil
		}
		return 0, invalidRequest("parameter_missing", name, "Missing required param: "+name+".")
	}
	n, err := strconv.ParseInt(p.form.Get(name), 10, 64)
	if err != nil {
		return 0, invalidRequest("parameter_invalid_integer", name, "Invalid integer: "+p.form.Get(name))
	}
	return n, nil
}

// partial is an amount that the fault halves.
func (p *params) partial(n int64) int64 {
	if p.fault == simulator.Partial {
		return n / 2
	}
	return n
}

func (p *params) bool(name string, otherwise bool) (bool, *apiError) {
	switch p.form.Get(name) {
	case "":
		return otherwise, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, invalidRequest("", name, "Invalid boolean: "+p.form.Get(name))
}

// metadata merges the metadata parameters into old: an empty value unsets a key.
func (p *params) metadata(old map[string]string) map[string]string {
	merged := map[string]string{}
	for k, v := range old {
		merged[k] = v
	}
	for k, v := range p.form {
		if name, ok := strings.CutPrefix(k, "metadata["); ok {
			name = strings.TrimSuffix(name, "]")
			merged[name] = v[0]
			if v[0] == "" {
				delete(merged, name)
			}
		}
	}
	return merged
}

// values reads a list: name[] and name[0], name[1], ….
func (p *params) values(name string) []string {
	var keys, all []string
	for k := range p.form {
		if k != name && index.ReplaceAllString(k, "") == name {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return len(a) - len(b) + strings.Compare(a, b)*boolInt(len(a) == len(b))
	})
	for _, k := range keys {
		all = append(all, p.form[k]...)
	}
	return all
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
