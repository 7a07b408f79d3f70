"""The best sentence encoder that few steps of raw text can buy, climbed rung by rung on development data."""
