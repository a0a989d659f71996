"""What the calendar does: axes that dates change, filings that fall due, reminders."""
