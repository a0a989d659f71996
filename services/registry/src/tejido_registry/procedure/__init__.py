"""How an organization is entered in the register and files every year: application, review, correction, decision, acts."""
