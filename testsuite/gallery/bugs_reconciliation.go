package main

import "github.com/trueup-orders/trueup/testsuite/overlay"

// reconciliation are mistakes about comparing and repairing.
func reconciliation() []bug {
	return []bug{
		in("workflows/intent.go", "reconciled while an operation is under way",
			"\t\tif p.openIn(system) != nil || p.due(system, now) != nil && !p.Phase.Ended() {\n\t\t\ti.Busy = append(i.Busy, system)\n\t\t}\n",
			"",
			tested("workflows", "Reconcile_OperationUnderWay_IsNotJudged")),
		in("workflows/confirm.go", "one reading is enough to repair",
			"\t\tif err := workflow.Sleep(work, p.lag(first.Breaks)); err != nil {\n\t\t\treturn answer, err\n\t\t}\n\t\tp.readSystems(work, disagreeing(first.Breaks), 1)\n\t\tp.confirm(workflow.Now(ctx))\n",
			"\t\tfor i := range p.Breaks {\n\t\t\tp.Breaks[i].Confirmed = workflow.Now(ctx)\n\t\t}\n",
			tested("workflows", "Reconcile_StaleReading_NothingIsRepaired")),
		in("reconcile/group.go", "an empty list is taken for everything gone",
			"if n := len(members(findings, missing)); n >= t.Orders && n*100 > max(50, t.Percent)*looked {",
			"if n := len(members(findings, missing)); n > looked {",
			tested("workflows", "Incident_SystemWithoutItsRecords_NothingIsDoneThere")),
		in("workflows/grants.go", "the budget is not counted",
			"\ts.Status.Spent = purse.Hour\n",
			"\t_ = purse.Hour\n",
			tested("workflows", "Keeper_Grants_StayWithinTheHoursBudget")),
		in("workflows/confirm.go", "repaired without a grant",
			"\t\t\tn := p.granted(grants, step)\n\t\t\tif n < 0 {",
			"\t\t\tn := p.granted(grants, step)\n\t\t\tif n < 0 {\n\t\t\t\tgrants, n = append(grants, repair.Grant{Expires: now.Add(time.Hour), For: reconcile.WantOf(p.Order.ID, p.Order.Currency, step)}), len(grants)\n\t\t\t}\n\t\t\tif n < 0 {",
			tested("workflows", "Runs_SideBySideAndKilled_NothingTwiceNoOvershoot")),
		in("activities/repair/repair.go", "the switch is not read at the last hop",
			"\tfor _, stopped := range s.stopped {\n",
			"\tfor _, stopped := range s.stopped[:0] {\n",
			tested("activities/repair", "Switches_Check_LastHop")),
	}
}

// people are mistakes about what people did and decide.
func people() []bug {
	return []bug{
		in("activities/crm/hubspot/contact.go", "what a person has edited is set back",
			"\t\t\tif has.get(property) != \"\" {\n\t\t\t\treturn\n\t\t\t}\n",
			"\t\t\t_ = property\n",
			tested("activities/crm/hubspot", "UpsertContact_HandEdited_StaysAsItIs")),
		in("workflows/decide.go", "a case is decided on evidence that has changed",
			"is := p.evidence(now, k); is.Token != on {",
			"is := p.evidence(now, k); is.Token == \"\" && on == \"\" {",
			tested("workflows", "Decide_EvidenceHasChanged_NothingDoneAndAskedAnew")),
	}
}

// determinism are mistakes that only a replay would show.
func determinism() []bug {
	return []bug{
		in("workflows/order.go", "a map is walked in a workflow",
			"\tfor _, system := range order.Systems() {\n\t\tworkflow.Go(",
			"\tlanes := map[order.System]bool{}\n\tfor _, system := range order.Systems() {\n\t\tlanes[system] = true\n\t}\n\tfor system := range lanes {\n\t\tworkflow.Go(",
			checked()),
		{"a workflow asks the machine for the time", []overlay.Change{
			{File: "workflows/inbox.go", From: "{ return workflow.Now(ctx).Sub(i.Since) }", To: "{ return time.Since(i.Since) }"},
		}, []proof{checked()}},
	}
}
