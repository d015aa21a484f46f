"""What a sceptic would answer with instead: each baseline by its paper or by a kept library, a module each."""
