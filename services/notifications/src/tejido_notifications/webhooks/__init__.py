"""Other systems are told of events by signed HTTP calls (Standard Webhooks): who subscribes, what they are told, and what they missed."""
