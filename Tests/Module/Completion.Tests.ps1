# What the Tab key inserts, and what a view says that has nothing to show.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    Import-Module "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    $server = Start-C10kServer -Name many -Workers 1
    $clients = [System.Collections.Generic.List[System.Net.Sockets.TcpClient]]::new()

    # What a prompt inserts that inserts what all candidates begin with.
    function Get-Beginning {
        param([string[]] $Text)
        $length = 0
        while (@($Text.Where({ $_.Length -le $length -or $_[$length] -ne $Text[0][$length] })).Count -eq 0) { $length++ }
        $Text[0].Substring(0, $length)
    }

    function Get-Offer {
        param([string] $Line)
        @([System.Management.Automation.CommandCompletion]::CompleteInput($Line, $Line.Length, $null).CompletionMatches.CompletionText)
    }
}

AfterAll {
    foreach ($client in $clients) { $client.Dispose() }
    Stop-C10kServer many
}

Describe 'Tab after -Id' {
    BeforeAll {
        # Ids of four digits, of which the first hundred begin alike and the rest do not.
        $null = $server | Invoke-C10kLoad -Mode Churn -Connection 8 -Count 1000
        do {
            $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
            Wait-Until { $server.ConnectionCount -gt 0 }
            $last = @($server.Connections)[0].Id
            $client.Dispose()
            Wait-Until { $server.ConnectionCount -eq 0 }
        } until (($last + 1) % 100 -eq 0)

        foreach ($number in 1..250) { $clients.Add([System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)) }
        Wait-Until { $server.ConnectionCount -eq 250 }
        $ids = [string[]]@($server.Connections).Id
    }

    It 'inserts nothing that some of the Ids lack, and offers no more than one would look through' {
        $offers = Get-Offer 'Get-C10kConnection -Id '
        $offers.Count | Should -BeGreaterThan 90
        $offers.Count | Should -BeLessOrEqual 100
        foreach ($offer in $offers) { $ids | Should -Contain $offer }
        Get-Beginning $offers | Should -Be (Get-Beginning $ids)
        Get-Beginning ($ids | Sort-Object { [long]$_ } | Select-Object -First 100) | Should -Not -Be (Get-Beginning $ids)
    }

    It 'offers each Id once, those alone that begin with what is typed, and all where these are few' {
        $typed = $ids[-1].Substring(0, 3)
        $expected = @($ids | Where-Object { $_.StartsWith($typed) })
        Get-Offer "Get-C10kConnection -Id $typed" | Should -Be ($expected | Sort-Object { [long]$_ })
    }
}

Describe 'Format-Table -View Tcp' {
    BeforeAll {
        $clients.Add([System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port))
        Wait-Until { $server.ConnectionCount -gt 0 }
    }

    It 'says how to get its columns where there was no -TcpInfo' {
        $text = Get-C10kConnection many | Select-Object -First 1 | Format-Table -View Tcp | Out-String -Width 80
        $text | Should -Match 'add -TcpInfo'
    }

    It 'says nothing of the kind with -TcpInfo, or where there is no TCP' {
        Get-C10kConnection many -TcpInfo | Select-Object -First 1 | Format-Table -View Tcp | Out-String -Width 80 | Should -Not -Match '-TcpInfo'
        $path = [System.IO.Path]::Combine([System.IO.Path]::GetTempPath(), "c10k-view-$PID.sock")
        $other = Start-C10kServer -UnixPath $path
        $socket = [System.Net.Sockets.Socket]::new('Unix', 'Stream', 'Unspecified')
        try {
            $socket.Connect([System.Net.Sockets.UnixDomainSocketEndPoint]::new($path))
            Wait-Until { $other.ConnectionCount -eq 1 }
            $text = Get-C10kConnection $other | Format-Table -View Tcp | Out-String -Width 80
            $text | Should -Match 'no TCP'
            $text | Should -Not -Match '-TcpInfo'
        } finally {
            $socket.Dispose()
            $other | Stop-C10kServer
        }
    }
}
