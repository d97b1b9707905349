output "dashboard" {
  value = aws_cloudwatch_dashboard.this.dashboard_name
}

output "alarms" {
  value = sort(concat([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name], [for alarm in aws_cloudwatch_metric_alarm.cdn : alarm.alarm_name]))
}
