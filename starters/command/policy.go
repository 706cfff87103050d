package command

import (
	"errors"
	"flag"
	"fmt"

	"github.com/trueup-orders/trueup/reconcile"
)

func policy(f *flag.FlagSet) func(*call, []string) (int, error) {
	asYAML := f.Bool("yaml", false, "print it in the form of a policy file")
	return func(c *call, args []string) (int, error) {
		what := "print"
		if len(args) > 0 {
			what, args = args[0], args[1:]
		}
		if len(args) > 1 || what != "print" && what != "check" || what == "check" && len(args) != 1 {
			return 0, usage("want print, print FILE or check FILE")
		}
		if what == "check" && *asYAML {
			return 0, usage("--yaml belongs to print; check prints no policy")
		}
		p := reconcile.Default()
		if len(args) == 1 {
			var err error
			if p, err = c.policyFile(args[0]); err != nil {
				return 0, err
			}
		}
		switch {
		case what == "check":
			c.print("%s is a policy: version %s\n", args[0], p.Version())
		case *asYAML:
			c.print("%s", p.YAML())
		default:
			c.print("%s", p.Table())
		}
		return ExitOK, nil
	}
}

// policyFile reads a policy; every problem of it is said with its line.
func (c *call) policyFile(name string) (reconcile.Policy, error) {
	data, err := c.file(name)
	if err != nil {
		return reconcile.Policy{}, err
	}
	p, err := reconcile.Parse(data)
	if invalid, ok := errors.AsType[*reconcile.PolicyError](err); ok {
		text := name + " is not a policy:"
		for _, problem := range invalid.Problems {
			text += fmt.Sprintf("\n  line %d: %s", problem.Line, problem.Reason)
		}
		return p, &badPolicy{text, err}
	}
	return p, err
}

// badPolicy says what is wrong with a policy, a problem a line.
type badPolicy struct {
	text string
	err  error
}

func (e *badPolicy) Error() string { return e.text }
func (e *badPolicy) Unwrap() error { return e.err }
