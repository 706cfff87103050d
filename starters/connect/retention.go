package connect

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
)

// Retention returns how long the engine keeps closed workflows of the namespace that
// Engine connects to.
func Retention(ctx context.Context, engine client.Client) (time.Duration, error) {
	options, err := options(envconfig.LoadClientOptionsRequest{})
	if err != nil {
		return 0, err
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d, err := engine.WorkflowService().DescribeNamespace(bounded, &workflowservice.DescribeNamespaceRequest{Namespace: options.Namespace})
	if err != nil {
		return 0, fmt.Errorf("read the retention of namespace %s: %w", options.Namespace, err)
	}
	return d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), nil
}
