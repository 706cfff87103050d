package main

import "github.com/trueup-orders/trueup/testsuite/overlay"

// messages are mistakes about what comes in: webhooks, feeds, what is early or late.
// That an order takes up an event each time it comes is harmless: it says what to
// read, and reading twice changes nothing.
func messages() []bug {
	return []bug{
		in("activities/payment/stripe/webhook.go", "the signature is read and not checked",
			"\tif !fits {\n\t\treturn fmt.Errorf(\"verify webhook: stripe: %w\", ErrSignature)\n\t}\n",
			"\t_ = fits\n",
			tested("activities/payment/stripe", "Webhooks_Forged_DoNotVerify")),
		in("activities/crm/hubspot/webhook.go", "a signature from the future fits",
			"age > tolerance || age < -tolerance {",
			"age > tolerance {",
			tested("activities/crm/hubspot", "Verify")),
		in("starters/orders.go", "2xx before the engine has it",
			"if err := g.told.tellAll(ctx, told); err != nil {\n\t\treturn busy(\"the engine does not have it; send it again\", err)\n\t}",
			"go func() { _ = g.told.tellAll(context.WithoutCancel(ctx), told) }()",
			tested("starters", "Webhook_EngineDown_SentAgain")),
		in("starters/gather.go", "what comes twice at once is told twice",
			"return earlier.System == n.System && earlier.ID == n.ID || sameBurst(earlier, n)",
			"return sameBurst(earlier, n)",
			tested("starters", "Gather_WhatComesTogether_OneSignalForEachOrder")),
		in("workflows/listen.go", "a webhook is believed and not read back",
			"\t\tp.heardNotice(now, n)\n",
			believe("payment_intent.amount_capturable_updated", "a.State, a.Held = reconcile.AttemptAuthorized, a.Amount"),
			tested("workflows", "Pay_NoticeThatIsNotTrue_ReadBackAndNotBelieved")),
		in("workflows/listen.go", "a late failure lowers an order that is paid",
			"\t\tp.heardNotice(now, n)\n",
			believe("payment_intent.payment_failed", "a.State, a.Held = reconcile.AttemptVoided, 0"),
			tested("workflows", "Pay_NoticeThatIsNotTrue_ReadBackAndNotBelieved")),
		{"a change feed is followed without an overlap", []overlay.Change{{
			File: "activities/reconciliation/follow.go", From: "c.Through.Add(-overlap)", To: "c.Through",
		}, {
			File: "activities/reconciliation/activities.go", From: "const overlap = 30 * time.Second", To: "const _ = 30 * time.Second",
		}}, []proof{tested("workflows", "Follow_SeenAfterThePollThatShouldHaveFoundIt_IsTold")}},
		in("workflows/abandon.go", "a request that nobody wants any more is tried until it is made",
			"\t\t\t\tgaveUp = true\n\t\t\t\tstop()\n",
			"\t\t\t\t_ = stop\n",
			played("I-05c"), played("I-05d")),
		in("workflows/announce.go", "a case that is over is told to nobody",
			"\t\t\tp.say(now, k, reconciliation.SaysClosed)\n",
			"",
			tested("workflows", "Case_LastThingOfItsOrder_EndIsSaidBeforeTheOrderEnds")),
		in("activities/reconciliation/keep.go", "a run that was cut short is a good one",
			"return r.whole() && !r.Behind",
			"return r.whole()",
			tested("activities/reconciliation", "ScreenChanges_MoreThanOneRunTakes_WorkedOffOverSeveral")),
		in("workflows/look.go", "an order that is older than our memory is started blindly",
			"if !p.Order.PlacedAt.Before(oldest) {",
			"if !oldest.IsZero() {",
			tested("workflows", "Time_OlderThanOurMemoryAndUnknown_IsACase")),
	}
}

// believe is what somebody writes who takes a notice for the truth.
func believe(kind, what string) string {
	return "\t\tp.heardNotice(now, n)\n\t\tfor _, a := range p.attempts() {\n\t\t\tif n.Type == \"" + kind + "\" && a.ID == n.Record {\n\t\t\t\t" +
		what + "\n\t\t\t\tp.learnAttempt(now, a)\n\t\t\t\tp.touch()\n\t\t\t}\n\t\t}\n\t\tif n.Type == \"" + kind + "\" {\n\t\t\tcontinue\n\t\t}\n"
}
