-- Log records under the names of the Collector's ClickHouse exporter (0.151 and later), for readers that know those: a view, so it sorts as logs do.
CREATE VIEW IF NOT EXISTS {{database}}.otel_logs
AS SELECT
    CAST(timestamp, 'DateTime64(9)') AS Timestamp,
    trace_id AS TraceId,
    span_id AS SpanId,
    toUInt8(bitAnd(flags, 255)) AS TraceFlags,
    severity_text AS SeverityText,
    severity_number AS SeverityNumber,
    service_name AS ServiceName,
    body AS Body,
    resource_schema_url AS ResourceSchemaUrl,
    resource_attributes AS ResourceAttributes,
    scope_schema_url AS ScopeSchemaUrl,
    toString(scope_name) AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    attributes_map AS LogAttributes,
    toString(event_name) AS EventName,
    CAST(resource_attributes['k8s.cluster.name'], 'LowCardinality(String)') AS `__otel_materialized_k8s.cluster.name`,
    CAST(resource_attributes['k8s.container.name'], 'LowCardinality(String)') AS `__otel_materialized_k8s.container.name`,
    CAST(resource_attributes['k8s.deployment.name'], 'LowCardinality(String)') AS `__otel_materialized_k8s.deployment.name`,
    CAST(resource_attributes['k8s.namespace.name'], 'LowCardinality(String)') AS `__otel_materialized_k8s.namespace.name`,
    CAST(resource_attributes['k8s.node.name'], 'LowCardinality(String)') AS `__otel_materialized_k8s.node.name`,
    CAST(resource_attributes['k8s.pod.name'], 'LowCardinality(String)') AS `__otel_materialized_k8s.pod.name`,
    CAST(resource_attributes['k8s.pod.uid'], 'LowCardinality(String)') AS `__otel_materialized_k8s.pod.uid`,
    CAST(
        resource_attributes['deployment.environment.name'], 'LowCardinality(String)'
    ) AS `__otel_materialized_deployment.environment.name`,
    tenant,
    invocation_id,
    session_id,
    user_id,
    agent_name,
    llm_system,
    llm_model,
    tool_name,
    tool_call_id
FROM {{database}}.logs;
