# What operators see: counters made from the services' log lines, metrics that the services write into them, alarms, one dashboard. All from infra/data/observability.json.

terraform {
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      configuration_aliases = [aws.us_east_1]
    }
  }
}

locals {
  namespace = "${var.watched.namespace}/${var.name}"
  alarms    = var.watched.alarms
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each       = var.watched.counters
  name           = "${var.name}-${each.key}"
  log_group_name = var.log_groups[each.value.log]
  pattern        = each.value.pattern

  metric_transformation {
    name      = each.key
    namespace = local.namespace
    value     = each.value.value
    unit      = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.about
  namespace           = try(each.value.metric.namespace, local.namespace)
  metric_name         = try(each.value.metric.name, each.value.metric.counter)
  dimensions          = try(var.dimensions[each.value.metric.of], {})
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics
}

# CloudFront's metrics are in us-east-1, wherever the stack is.
resource "aws_cloudwatch_metric_alarm" "cdn" {
  for_each            = var.watched.cdn_alarms
  provider            = aws.us_east_1
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.about
  namespace           = each.value.metric.namespace
  metric_name         = each.value.metric.name
  dimensions          = var.dimensions[each.value.metric.of]
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = each.value.missing
  alarm_actions       = var.cdn_alarm_topics
  ok_actions          = var.cdn_alarm_topics
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for i, graph in var.watched.dashboard : {
        type   = "metric"
        x      = (i % 3) * 8
        y      = floor(i / 3) * 6
        width  = 8
        height = 6
        properties = {
          title  = graph.title
          stat   = graph.statistic
          period = 60
          view   = "timeSeries"
          region = try(graph.metric.of, "") == "distribution" ? "us-east-1" : var.region
          metrics = can(graph.counters) ? [for counter in graph.counters : [local.namespace, counter]] : [
            concat([try(graph.metric.namespace, local.namespace), graph.metric.name], flatten([for key, value in var.dimensions[graph.metric.of] : [key, value]]))
          ]
        }
      }
    ]
  })
}
