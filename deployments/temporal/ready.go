package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// waitUntilUsable returns when a client that connects now finds everything in place, so that nothing started by a
// script right after has to retry. The server's own start returns earlier than that.
func (e *engine) waitUntilUsable(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	connection, err := grpc.NewClient(e.frontend, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connecting to the frontend %s: %w", e.frontend, err)
	}
	defer func() { _ = connection.Close() }()
	frontend := workflowservice.NewWorkflowServiceClient(connection)
	for {
		err := checkFrontend(ctx, frontend, namespace)
		if err == nil && e.ui != "" {
			err = checkUI(ctx, e.ui)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				err = fmt.Errorf("the Temporal server was not usable after %s: %w; --log-level info shows more", startTimeout, err)
			}
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// checkFrontend asks one question of each part that a new workflow needs.
func checkFrontend(ctx context.Context, frontend workflowservice.WorkflowServiceClient, namespace string) error {
	// Visibility, the namespace and its search attributes: a name that is not known is refused.
	var conditions []string
	for _, a := range orderAttributes {
		conditions = append(conditions, a.name+" IS NOT NULL")
	}
	_, err := frontend.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: namespace,
		Query:     strings.Join(conditions, " AND "),
	})
	if err != nil {
		return fmt.Errorf("counting workflows by search attribute: %w", err)
	}
	// The history service owns its shard: only then can it say that it knows no such workflow.
	_, err = frontend.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: namespace,
		Execution: &commonpb.WorkflowExecution{WorkflowId: "never-started"},
	})
	if code := status.Code(err); code != codes.NotFound && code != codes.OK {
		return fmt.Errorf("describing a workflow: %w", err)
	}
	return nil
}
