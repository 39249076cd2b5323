export const nothing = 'declared here'
