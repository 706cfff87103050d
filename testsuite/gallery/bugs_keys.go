package main

// keys are mistakes about doing a thing once: its key, its window, its look-up.
// That a capture is sent again past the key's window is harmless: the gateway
// refuses the second one, and what it took is adopted. A refund is not refused.
func keys() []bug {
	return []bug{
		in("activities/payment/activities.go", "a new key for each attempt",
			"\t\trequest := in.Request\n\t\trequest.Key = key\n\t\treturn a.Gateway.Refund(ctx, request)",
			"\t\trequest := in.Request\n\t\trequest.Key = key + \"/again/\" + strconv.FormatInt(a.Now().UnixNano(), 10)\n\t\treturn a.Gateway.Refund(ctx, request)",
			tested("activities/payment", "RefundPayment_AnswerLost_RefundedOnce")),
		in("order/key.go", "a key without the occasion: two equal refunds are one",
			`string(i.Operation) + "/" + strconv.Itoa(i.N)`,
			`string(i.Operation) + "/" + strconv.Itoa(min(i.N, 1))`,
			drawn("order", "Key_DifferentIntents_DifferentKeys")),
		in("activities/payment/activities.go", "no look-up after the key window",
			"if a.Now().Sub(since) > a.KeyWindow-time.Hour {",
			"if false {",
			tested("activities/payment", "RefundPayment_AnswerLost_RefundedOnce")),
		in("activities/mail/activities.go", "mail in the retry loop: in doubt it is sent again",
			"in.Request.LookFirst || in.Grant != nil || activity.GetInfo(ctx).Attempt > 1",
			"in.Request.LookFirst || in.Grant != nil || activity.GetInfo(ctx).Attempt > 1000",
			tested("activities/mail", "SendMail_AnswerLost_RetryOfTheEngineLooksFirst")),
		in("activities/warehouse/tryton/request.go", "a doubled request stays: its draft is promoted too",
			"\tkept = choose(found)\n\tif kept == nil {\n\t\treturn nil, false, apierr.New(apierr.Unavailable, \"\", errors.New(\"the draft is gone\"))\n\t}\n\tif settled, err := c.tidy(ctx, s, found, r.Lines); !settled || err != nil {\n\t\treturn nil, false, err\n\t}",
			"\tfor i := range found {\n\t\t_ = s.Press(ctx, found[i].at(), \"wait\")\n\t}\n\tkept = choose(found)\n\tif kept == nil {\n\t\treturn nil, false, apierr.New(apierr.Unavailable, \"\", errors.New(\"the draft is gone\"))\n\t}",
			tested("activities/warehouse/tryton", "Request_UnderFaults_OneEffect")),
		in("activities/warehouse/tryton/request.go", "a request is not read back",
			"\tfound, err = c.byKey(ctx, s, shipments, r.Key)\n\tif err != nil {\n\t\treturn nil, false, rpc.AfterEffect(err)",
			"\tif refused == nil {\n\t\tkept.State = stateWaiting\n\t\treturn kept, true, nil\n\t}\n\tfound, err = c.byKey(ctx, s, shipments, r.Key)\n\tif err != nil {\n\t\treturn nil, false, rpc.AfterEffect(err)",
			tested("activities/warehouse/tryton", "Request_UnderFaults_OneEffect")),
	}
}

// answers are mistakes about what a system's answer means. An answer that is no
// JSON at all may pass for an empty one in Medusa's, HubSpot's and Tryton's
// adapters without harm: a record without an id is no record to them.
func answers() []bug {
	return []bug{
		in("activities/payment/stripe/errors.go", "a 5xx is taken for a decline",
			"case x.status >= 500:\n\t\treturn &apierr.Error{Code: x.doubt(),",
			"case x.status >= 500:\n\t\treturn &apierr.Error{Code: apierr.Declined,",
			tested("activities/payment/stripe", "Write_Fault_OneEffectAfterRepeat")),
		in("activities/crm/hubspot/call.go", "429 counts as a failure",
			"case status == http.StatusTooManyRequests || status == 477:",
			"case status == 477:",
			tested("activities/crm/hubspot", "Lookup_Faults")),
		in("activities/crm/hubspot/call.go", "401 is taken for absent",
			"return apierr.New(apierr.Unauthorized, reason, err)",
			"return apierr.New(apierr.NotFound, reason, err)",
			tested("activities/crm/hubspot", "WithoutToken_Unauthorized")),
		in("activities/payment/stripe/lookup.go", "an answer that makes no sense is taken for an empty list",
			"if x.status != http.StatusOK || !into.isList() {",
			"if x.status != http.StatusOK {",
			tested("activities/payment/stripe", "Answers_ThatMakeNoSense")),
		in("activities/payment/stripe/attempt.go", "an answer about another order is accepted",
			"case whose != of && (whose != \"\" || !bare):",
			"case whose != of && false:",
			tested("activities/payment/stripe", "Lookup_KnownOfAnotherOrder_IsGarbage")),
		in("reconcile/read.go", "unreadable is taken for absent",
			"State: Unreadable, At: at,",
			"State: Absent, At: at,",
			tested("workflows", "Order_GatewayUnreadableAtThePayWindowsEnd_WaitsInDoubt")),
		in("activities/apierr/apierr.go", "Retry-After is obeyed whatever it says",
			"options.NextRetryDelay = min(e.After, MaxWait)",
			"options.NextRetryDelay = e.After",
			tested("activities/apierr", "ToEngine_RetryAfter_NoLongerThanMaxWait")),
	}
}
