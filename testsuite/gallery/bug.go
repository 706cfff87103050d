package main

import (
	"slices"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// bug is a mistake that the product could have: one or more changes of its text.
type bug struct {
	name    string
	changes []overlay.Change
	// by are the proofs, each of which must notice the bug.
	by []proof
}

// in returns a bug that is one change of a file.
func in(file, name, from, to string, by ...proof) bug {
	return bug{name, []overlay.Change{{File: file, From: from, To: to}}, by}
}

// kind says what a proof is.
type kind string

const (
	// test is one of the product's tests. It does the same each time.
	test kind = "test"
	// property is a test that draws its cases from a seed.
	property kind = "property"
	// incident is an incident file, played from a seed.
	incident kind = "incident"
	// static is workflowcheck: the workflows do nothing that a replay cannot repeat.
	static kind = "workflowcheck"
)

// proof is one thing that must fail on a bug.
type proof struct {
	kind kind
	in   string // the package
	name string // of the test, without "Test"; of the incident
}

func tested(in, name string) proof { return proof{test, in, name} }
func drawn(in, name string) proof  { return proof{property, in, name} }
func played(name string) proof     { return proof{incident, "testsuite/incident", name} }
func checked() proof               { return proof{kind: static, in: "workflows"} }

func (p proof) String() string {
	switch p.kind {
	case static:
		return string(p.kind)
	case incident:
		return "incident " + p.name
	case test, property:
	}
	return p.in + " " + p.name
}

// bugs are all of them, in the order of the table.
func bugs() []bug {
	return slices.Concat(keys(), answers(), messages(), money(), goods(), reconciliation(), people(), determinism())
}
