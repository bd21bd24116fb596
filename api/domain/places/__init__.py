"""Where things happen: sites and their hours, resources, the timeline of holds, skills, conventions and door codes."""
