"""What every experiment defends against is shown by taking its defence away: `make defences`."""
